"""Secrets in addresses are hidden, whatever the protocol, and nothing else is."""

import pytest

from quant_pipeline.common.secret_names import names_a_secret, without_secrets


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql+psycopg://me:secret@host:5432/books", "postgresql+psycopg://me:***@host:5432/books"),
        ("nowhere://me:secret@host/a", "nowhere://me:***@host/a"),
        ("sftp://me:sec@ret@host/a@b:c", "sftp://me:***@b:c"),
        ("sftp://me:sec/ret@host/a", "sftp://me:***@host/a"),
        ("smb://me@desk:secret@host/a", "smb://me@desk:***@host/a"),
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("zip://a.csv::ftp://me:secret@host/b.zip", "zip://a.csv::ftp://me:***@host/b.zip"),
        ("postgresql://host/books?user=me&password=sec@ret&sslmode=require", "postgresql://host/books?user=me&password=***&sslmode=require"),
        ("postgresql://host:5432/books?password=sec@ret", "postgresql://host:5432/books?password=***"),
        ("https://host/a?X-Amz-Credential=k&X-Amz-Signature=secret&X-Amz-Date=1", "https://host/a?X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1"),
        ("abfs://host/a?sv=1&sig=secret", "abfs://host/a?sv=1&sig=***"),
        ("abfs://host/a?account_key=secret;b=c", "abfs://host/a?account_key=***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Da%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER={a};PWD=sec&ret;b=c", "mssql+pyodbc:///?odbc_connect=***&***;b=***"),
        ("sftp://me:sec@ret/sec@host/a", "sftp://me:***@host/a"),
        ("sftp://me:sec/ret@sec/ret@host/a", "sftp://me:***@host/a"),
        ("postgresql://me:sec@ret?sec@host/a?sslmode=require", "postgresql://me:***@host/a?sslmode=require"),
        ("postgresql://me:sec?ret=sec@host/a", "postgresql://me:***"),
        ("postgresql://host/a?sslmode=require;password=secret", "postgresql://host/a?sslmode=***"),
        ("https://secret@host/a", "https://***@host/a"),
        ("https://secret:@host/a", "https://***@host/a"),
        ("https://secret:x-oauth-basic@host/a", "https://***@host/a"),
        ("https://host/a?secret", "https://host/a?***"),
        ("https://host/a#access_token=secret", "https://host/a#access_token=***"),
        ("jdbc:postgresql://host/a?user=me&password=secret", "jdbc:postgresql://host/a?user=me&password=***"),
        *(
            (f"{protocol}://me:{digits}{sign}secret@host/a", f"{protocol}://me:***@host/a")
            for protocol in ("postgresql+psycopg", "mssql+pyodbc", "s3", "ftp", "nowhere")
            for digits in ("", "1", "12345")
            for sign in "/?#"
        ),
        ("mongodb://one:27017,other:27017/a@b", "mongodb://one:***@b"),
        ("clickhouse+http://me:1/secret@host/a", "clickhouse+http://***@host/a"),
        ("HTTPS://secret@host/a", "HTTPS://***@host/a"),
        ("jdbc:sqlserver://host;user=me;password=secret", "jdbc:sqlserver://host;user=me;password=***"),
        ("mssql://host:1433;UID=me;PWD=sec;ret", "mssql://host:1433;UID=me;PWD=***"),
        ("nowhere://host/a;b=1;c=2;password=secret", "nowhere://host/a;b=1;c=2;password=***"),
        ("nowhere://host/a;b=1?password=secret", "nowhere://host/a;b=1?password=***"),
        ("nowhere://host/a;b=1?c=secret&mode=2", "nowhere://host/a;b=1?c=***&mode=2"),
        ("/srv/a;b=1;password=secret", "/srv/a;b=1;password=***"),
        ("see ftp://me:secret@host/a and ftp://me:secret@host/b", "see ftp://me:***@host/a and ftp://me:***@host/b"),
        *(
            (f"https://host/a?{name}=secret&versionId=7", f"https://host/a?{name}=***&versionId=7")
            for name in (
                "key", "pass", "passcode", "auth", "authorization", "code", "jwt", "p%61ssword", "credentials_base64",
            )
        ),
    ],
)  # fmt: skip
def test_passwords_and_secret_parameters_are_hidden(address, shown):
    assert without_secrets(address) == shown
    assert without_secrets(shown) == shown


@pytest.mark.parametrize(
    "address",
    [
        "data/markets/us",
        "/srv/a:b@c/market",
        "s3://desk/market/2024-01-02T10:30/a?versionId=7",
        "s3://desk/who@where/bars.parquet",
        "postgresql://me@host:5432/books?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "sqlite:////srv/books.sqlite",
        "http://[::1]:5000/",
        "http://[::1]:5000/a@b/c",
        "http://host:5000/a@2024/x",
        "hdfs://namenode:8020/user/me@REALM/panel",
        "abfs://container@account.dfs.core.windows.net/market",
        "mongodb://me@one:27017,other:27017/a",
        "postgresql://host:5432/books",
        "nowhere://host/a;b=1;c=2?mode=3",
        "s3://arn:aws:s3:eu-west-1:123:accesspoint/desk/market",
        "/srv/what?key=of/a",
    ],
)
def test_what_is_no_secret_is_shown(address):
    assert without_secrets(address) == address


@pytest.mark.parametrize(("name", "is_secret"), [("API-Key", True), ("accessKeyId", True), ("keyword", False)])
def test_a_secret_is_known_by_its_name(name, is_secret):
    assert names_a_secret(name) == is_secret
