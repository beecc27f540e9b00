"""What lies in a bucket is worked on in a copy, and appears there as it was written here."""

import re
import sys
from functools import partial
from pathlib import Path

import fsspec
import pytest
from kedro_datasets.text import TextDataset

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import Place, path_here, require_files, require_local


def written(place, **files):
    for name, text in files.items():
        file = place.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place


def test_a_path_of_this_machine_is_itself(tmp_path):
    for address in (tmp_path / "a", str(tmp_path / "a"), f"file://{tmp_path}/a", f"local://{tmp_path}/a"):
        place = Place.of(address)
        assert (place.fetch(), place.is_remote) == (tmp_path / "a", False)
    place.publish()
    assert list(tmp_path.iterdir()) == []


def test_a_place_may_begin_at_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Place.of("~/panel").path == require_local("~/panel", "it") == tmp_path / "panel"
    assert path_here(Path("/project"), "~/panel") == tmp_path / "panel"
    assert Place.of("s3://desk/~/panel").address == "s3://desk/~/panel"


@pytest.mark.parametrize("take", [Place.of, partial(path_here, Path("/project")), partial(require_local, what="it")])
def test_the_home_of_a_user_that_there_is_not_is_refused(take):
    with pytest.raises(ConfigurationError, match=r"'~ghost/panel' begins at the home of the user 'ghost', .* in full"):
        take("~ghost/panel")


def test_who_has_no_home_is_refused(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    with pytest.raises(ConfigurationError, match=r"'~/panel' begins at the home of a user who has none here"):
        Place.of("~/panel")


def test_what_one_machine_publishes_another_fetches(bucket):
    place = written(Place.of(f"{bucket.address}/folder"), a="1", b="2")
    (place.path / ".a.17.tmp").write_text("of a killed process")
    place.publish()
    assert bucket.names() == ["folder/a", "folder/b"]
    bucket.another_machine()
    folder = place.fetch()
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"a": "1", "b": "2"}


def test_only_what_has_changed_is_fetched_and_published(bucket, monkeypatch):
    place = written(Place.of(f"{bucket.address}/folder"), a="1", b="2")
    place.publish()
    moved = []
    kind = type(bucket.files)
    for step in ("get_file", "put_file"):
        original = getattr(kind, step)
        monkeypatch.setattr(
            kind, step, lambda self, *paths, step=step, original=original, **more: (
                moved.append(step), original(self, *paths, **more)
            ),
        )  # fmt: skip
    place.fetch()
    place.publish()
    assert moved == []
    bucket.write("folder/a", b"3")
    assert (place.fetch() / "a").read_text() == "3"
    written(place, b="4")
    place.publish()
    assert moved == ["get_file", "put_file"]
    assert bucket.read("folder/b") == b"4"


def test_what_was_removed_there_is_removed_here_and_the_other_way_round(bucket):
    place = written(Place.of(f"{bucket.address}/folder"), a="1", b="2", c="3")
    place.publish()
    bucket.files.rm_file(f"{bucket.address}/folder/a")
    assert not (place.fetch() / "a").exists()
    (place.path / "b").unlink()
    place.publish()
    assert bucket.names() == ["folder/c"]


def test_what_others_have_added_stays_unless_the_copy_is_the_whole(bucket):
    bucket.write("folder/old", b"of another machine")
    place = written(Place.of(f"{bucket.address}/folder"), new="1")
    place.publish()
    assert bucket.names() == ["folder/new", "folder/old"]
    bucket.write("folder/new", b"2")
    place.publish(whole=True)
    assert bucket.names() == ["folder/new"]
    assert bucket.read("folder/new") == b"1"


def test_an_interrupted_writer_leaves_no_file_that_completes_the_others(bucket, monkeypatch):
    place = written(Place.of(f"{bucket.address}/folder"), a="1", b="1", manifest="1")
    place.publish(whole=True, completed_by="manifest")
    written(place, a="2", b="2", manifest="2")
    kind = type(bucket.files)
    original, put = kind.put_file, []

    def failing(self, here, there, **more):
        if put:
            raise OSError("the line is dead")
        put.append(there)
        original(self, here, there, **more)

    monkeypatch.setattr(kind, "put_file", failing)
    with pytest.raises(OSError, match="the line is dead"):
        place.publish(whole=True, completed_by="manifest")
    assert bucket.names() == ["folder/a", "folder/b"]
    monkeypatch.setattr(kind, "put_file", original)
    place.publish(whole=True, completed_by="manifest")
    assert {name: bucket.read(name) for name in bucket.names()} == {
        "folder/a": b"2", "folder/b": b"2", "folder/manifest": b"2"
    }  # fmt: skip


def test_a_single_file_is_a_place_too(bucket):
    place = Place.of(f"{bucket.address}/one.csv")
    assert not place.fetch().exists()
    place.path.parent.mkdir(parents=True, exist_ok=True)
    place.path.write_text("a,b")
    place.publish()
    bucket.another_machine()
    assert place.fetch().read_text() == "a,b"


@pytest.mark.parametrize("slashes", ["//", "///"])
def test_two_slashes_are_one_as_for_datasets_of_kedro(bucket, slashes):
    saved = TextDataset(filepath=f"{bucket.address}{slashes}folder{slashes}a")
    saved.save("1")
    assert bucket.names() == ["folder/a"]
    place = Place.of(f"{bucket.address}{slashes}folder{slashes}")
    assert (place.fetch() / "a").read_text() == "1"
    written(place, b="2").publish()
    assert bucket.names() == ["folder/a", "folder/b"]
    assert place.path == Place.of(f"{bucket.address}/folder").path


def test_names_are_found_in_the_place_alone_whatever_signs_its_name_has(bucket):
    names = ("a[1]", "a*", "a?", "a[!1]", "a1", "{a}")
    for name in names:
        bucket.write(f"{name}/2024/{len(name)}", b"")
    for name in names:
        assert Place.of(f"{bucket.address}/{name}").glob("*/?") == [f"2024/{len(name)}"]


def test_names_are_found_where_the_place_lies(bucket, tmp_path):
    for name in ("2024-01-02/orders", "2024-01-03/orders", "notes"):
        bucket.write(name, b"")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    expected = ["2024-01-02/orders", "2024-01-03/orders"]
    assert Place.of(bucket.address).glob("????-??-??/orders") == expected
    assert Place.of(tmp_path).glob("????-??-??/orders") == expected


@pytest.mark.parametrize("address", ["nowhere://a", "postgresql+psycopg://me:secret@b/a"])
def test_an_address_that_no_file_system_has_is_never_a_folder_here(address):
    with pytest.raises(ConfigurationError, match=r"is neither a path of this machine nor one of a bucket") as refused:
        Place.of(address).path  # noqa: B018
    with pytest.raises(ConfigurationError, match=r"no file system has the protocol (nowhere|postgresql)"):
        Place.of(address).glob("*")
    assert "secret" not in refused.value.message


def test_a_password_stands_in_no_message_and_in_no_name_of_a_folder():
    place = Place.of("ftp://me:secret@desk/market")
    assert (str(place), repr(place / "a")) == ("ftp://me:***@desk/market", "Place('ftp://me:***@desk/market/a')")
    assert place.path.as_posix().endswith("files/ftp/me:***@desk/market")
    assert Place.of("ftp://me:another@desk/market").path == Place.of(str(place)).path == place.path
    with pytest.raises(ConfigurationError, match=r"^ftp://me:\*\*\*@desk/\.\./a names no file or folder"):
        Place.of("ftp://me:secret@desk/../a").path  # noqa: B018
    with pytest.raises(ConfigurationError, match=r"^nowhere://me:\*\*\*@desk/a\?token=\*\*\* is neither"):
        Place.of("nowhere://me:secret@desk/a?token=secret").path  # noqa: B018
    for address in (
        "https://secret@desk/a",
        "https://secret:@desk/a",
        "s3://desk/a?token=secret",
        "https://desk/a?key=secret",
        "ftp://me:secret@b/a",
    ):
        assert "secret" not in str(Place.of(address).path)


@pytest.mark.parametrize("name", ["strategy;v=2", "a&b=c", "a?versionId=abc"])
def test_a_copy_has_the_name_that_messages_show(name):
    assert Place.of(f"s3://desk/{name}").path.name == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("memory://desk:8020/user/me@REALM/panel", "memory://desk:8020/user/you@REALM/panel"),
        ("memory://desk:8020/user/me@REALM/panel", "memory://desk:8020/user/me/old@REALM/panel"),
        ("memory://desk:1/a@z/panel", "memory://desk:2/a@z/panel"),
        ("s3://desk/a&token=1/panel", "s3://desk/a&token=2/panel"),
        ("s3://desk/a?token=1", "s3://desk/a?token=2"),
        ("https://one@desk/a", "https://other@desk/a"),
        ("ftp://one:secret@desk/a", "ftp://other:secret@desk/a"),
        ("ftp://me:secret@desk/a@b/c", "ftp://me:secret@desk/b/c"),
    ],
)
def test_two_places_have_two_copies_whatever_is_hidden_of_them(one, other):
    places = [Place.of(address) for address in (one, other)]
    assert places[0].path != places[1].path
    for place in places:
        assert (place / "a").path == place.path / "a" or "?" in place.address


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("file://data/us", "file:///data/us needs three slashes after file:, and has two"),
        ("local://data/us", "local:///data/us needs three slashes after local:, and has two"),
        ("file:/data/us", "file:///data/us needs three slashes after file:, and has one"),
        ("s3:/desk/us", "s3://desk/us needs two slashes after s3:, and has one"),
        ("ftp:/me:secret@desk/us", "ftp://me:***@desk/us needs two slashes after ftp:, and has one"),
        ("s3:/me:1/secret@desk/us", "s3://me:***@desk/us needs two slashes after s3:, and has one"),
        ("file://me:secret@desk/us", "file:///me:***@desk/us needs three slashes after file:, and has two"),
    ],
)
def test_an_address_with_too_few_slashes_is_no_folder_of_another_name(address, meant):
    for read in (Place.of, require_files, lambda text: require_local(text, "the folder")):
        with pytest.raises(ConfigurationError) as refused:
            read(address)
        assert refused.value.message == f"{meant}. Correct it, or write a path of this machine without a protocol."


@pytest.mark.parametrize("path", ["/srv/s3:/us", "data/s3:/us", "a b:/c", "C:/data/us", "2024:/us", "s3:us"])
def test_a_colon_in_a_path_is_a_sign_of_its_name(path):
    require_files(path)
    assert Place.of(path).path.as_posix() == path


@pytest.mark.parametrize("address", ["s3://", "memory://a/../../b"])
def test_an_address_that_is_no_folder_of_a_bucket_is_refused(address):
    with pytest.raises(ConfigurationError, match="names no file or folder below"):
        Place.of(address).path  # noqa: B018


def test_a_library_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ConfigurationError, match=r"^gs://a cannot be used: .*pip install 'quant_pipeline\[buckets\]'"):
        Place.of("gs://a").fetch()


def test_what_needs_this_machine_is_refused_in_a_bucket_and_databases_are_none(tmp_path):
    for address in ("s3://b/STOP", "nowhere://b/STOP", "postgresql+psycopg://me:***@b/STOP"):
        with pytest.raises(ConfigurationError, match=rf"^the STOP file cannot lie at {re.escape(address)}: it needs a"):
            require_local(address.replace("***", "secret"), "the STOP file")
    assert require_local(str(tmp_path), "the STOP file") == tmp_path
    assert "s3" in fsspec.available_protocols()
    assert path_here(tmp_path, "data/markets") == tmp_path / "data/markets"
