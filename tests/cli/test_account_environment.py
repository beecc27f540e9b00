"""A new account's files: only its own values change, everything else stays as the user wrote it."""

import difflib

import pytest
import yaml

from quant_pipeline.cli.account_environment import scaffold_environment
from quant_pipeline.common.exceptions import ConfigurationError


def scaffold(conf, **files):
    origin = conf / "mine"
    origin.mkdir()
    for name, text in files.items():
        (origin / f"{name}.yml").write_text(text)
    scaffold_environment(conf, "second", "mine")
    return conf / "second"


def changed_lines(before, after):
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[:2] not in ("--", "++", "@@")]


GLOBALS = {
    "blank line before the name": "# my account\n\naccount: sim\nmarket: simulated\npaths:\n  account: a\n",
    "comment behind the name": "account: sim  # the first one\npaths:\n  # mine\n  account: a  # here\n",
    "quotes": "account: \"sim\"\nas_of: '2024-12-31'\npaths:\n  account: 'a'\n  market: \"x\"\n",
    "another indented account": "account: sim\nnotify:\n  account: my-webhook\npaths:\n  account: data/accounts/sim\n",
    "flow style": "{account: sim, paths: {market: data/markets/x, account: data/accounts/sim}}\n",
    "anchor and merge": "_market: &market\n  market: x\n\naccount: sim\npaths:\n  <<: *market\n  account: a\n",
    "name last": "paths:\n  account: data/accounts/sim\n\n\n# end\naccount: sim\n",
    "other values": "account: sim\nempty:\nnothing: null\ntilde: ~\nyes_: yes\ntime: 12:30:00\npaths: {account: a}\n",
}


@pytest.mark.parametrize("text", GLOBALS.values(), ids=GLOBALS)
def test_only_the_name_and_the_folder_of_the_account_change(tmp_path, text):
    written = (scaffold(tmp_path, globals=text) / "globals.yml").read_text()
    wanted = yaml.safe_load(text)
    wanted["account"] = "second"
    wanted["paths"]["account"] = "data/accounts/second"
    assert yaml.safe_load(written) == wanted
    comments = [line[line.index("#") :] for line in text.splitlines() if "#" in line]
    assert [line[line.index("#") :] for line in written.splitlines() if "#" in line] == comments
    assert written.count("\n\n") == text.count("\n\n")
    assert ("&market" in written, "*market" in written) == ("&market" in text, "*market" in text)


def test_the_corrupting_file_of_a_user_comes_out_line_by_line(tmp_path):
    text = "# my account\n\naccount: sim\nmarket: simulated\npaths:\n  account: data/accounts/sim\n"
    assert changed_lines(text, (scaffold(tmp_path, globals=text) / "globals.yml").read_text()) == [
        "-account: sim",
        "+account: second",
        "-  account: data/accounts/sim",
        "+  account: data/accounts/second",
    ]


@pytest.mark.parametrize("source", ["sim", "files", "qlib", "paper", "live"])
def test_a_shipped_environment_differs_in_its_identity_only(project_path, tmp_path, source):
    conf = tmp_path / "conf"
    (conf / source).mkdir(parents=True)
    for file in (project_path / "conf" / source).glob("*.yml"):
        if "credentials" not in file.name:
            (conf / source / file.name).write_text(file.read_text())
    scaffold_environment(conf, "second", source)
    for file in (conf / source).iterdir():
        if file.name != "globals.yml":
            assert (conf / "second" / file.name).read_bytes() == file.read_bytes()
        else:
            before, after = (yaml.safe_load(path.read_text()) for path in (file, conf / "second" / file.name))
            assert (after.pop("account"), after["paths"].pop("account")) == ("second", "data/accounts/second")
            assert (before.pop("account"), before["paths"].pop("account")) == (source, f"data/accounts/{source}")
            assert after == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "account: second\npaths:\n  account: data/accounts/second\n"),
        ("", "account: second\npaths:\n  account: data/accounts/second\n"),
        ("# later\n", "# later\naccount: second\npaths:\n  account: data/accounts/second\n"),
        ("market: x\n", "market: x\naccount: second\npaths:\n  account: data/accounts/second\n"),
    ],
    ids=["no file", "empty file", "a comment alone", "neither name nor paths"],
)
def test_what_is_missing_is_added(tmp_path, text, expected):
    files = {} if text is None else {"globals": text}
    assert (scaffold(tmp_path, **files) / "globals.yml").read_text() == expected


def test_only_the_account_number_of_execution_goes(tmp_path):
    text = (
        "# pinned\nexecution:\n  account_number: 'PA123' # mine\n  waves: together\n\n"
        "statement_import:\n  account_number: U-77\n"
    )
    untouched = "report:\n    account_number:   U-88   # shown\n"
    made = scaffold(tmp_path, parameters_execution=text, parameters_report=untouched)
    assert changed_lines(text, (made / "parameters_execution.yml").read_text()) == [
        "-  account_number: 'PA123' # mine",
        "+  account_number: null    # mine",
    ]
    assert (made / "parameters_report.yml").read_text() == untouched


def test_an_account_number_in_flow_style_goes_too(tmp_path):
    made = scaffold(tmp_path, parameters="execution: {account_number: PA123, waves: together}\n")
    assert yaml.safe_load((made / "parameters.yml").read_text()) == {
        "execution": {"account_number": None, "waves": "together"}
    }


def test_no_file_with_credentials_in_its_path_is_copied(tmp_path):
    origin = tmp_path / "mine"
    for name in (
        "credentials.yml",
        "credentials_alpaca.yaml",
        "credentials/keys.yml",
        "desk/credentials.yml",
        ".x.yml",
    ):
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        (origin / name).write_text("key: secret\n")
    (origin / "desk" / "parameters_own.yml").write_text("own: 1\n")
    scaffold_environment(tmp_path, "second", "mine")
    made = {file.relative_to(tmp_path / "second").as_posix() for file in (tmp_path / "second").rglob("*.y*ml")}
    assert made == {"globals.yml", "desk/parameters_own.yml"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- account\n", "key: value"),
        ("account: [sim\n", "cannot be copied"),
        ("account: sim\naccount: other\n", "cannot be copied"),
        ("account: sim\npaths: data\n", "cannot be copied"),
        ("_p: &p {account: a}\naccount: sim\npaths: *p\n", "through an alias"),
    ],
    ids=["a list", "no YAML", "a key twice", "paths is a text", "an alias shares the folder"],
)
def test_a_file_that_cannot_be_changed_is_named_and_nothing_is_left(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message) as refused:
        scaffold(tmp_path, globals=text)
    assert "mine/globals.yml" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_account_is_not_called_like_a_rehearsal(tmp_path):
    (tmp_path / "live").mkdir()
    with pytest.raises(ConfigurationError, match="names of rehearsals end like this"):
        scaffold_environment(tmp_path, "live-rehearsal", "live")


def test_what_a_killed_command_has_left_does_not_stand_in_the_way(tmp_path):
    left = tmp_path / ".second.99999999.tmp"
    left.mkdir()
    (left / "globals.yml").write_text("half")
    scaffold(tmp_path, globals="account: mine\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "second"]
