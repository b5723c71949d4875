"""What is fetched from a URL is what is there, whole or not at all, whatever the filesystem does."""

import mmap
import os
import shutil
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

fsspec = pytest.importorskip("fsspec")

from robocache.datasets import _mirror, fetch, open_dataset  # noqa: E402
from robocache.errors import ArgumentError, DataError  # noqa: E402
from tests.datasets import faulty  # noqa: E402
from tests.datasets.faulty import FILES, Faulty, partial, tree  # noqa: E402


@pytest.fixture
def far():
    faulty.register()
    system = Faulty()
    system.put_all(FILES)
    return system


# ---- what comes ----------------------------------------------------------------------------------------------------


def test_a_folder_and_a_file(far, tmp_path):
    folder = fetch("faulty://set/", cache=tmp_path)
    assert folder.name == "set"
    assert folder.is_relative_to(tmp_path)
    assert tree(folder) == FILES
    file = fetch("faulty://set/b/2", cache=tmp_path)
    assert file.name == "2"
    assert file.read_bytes() == FILES["b/2"]
    assert not partial(tmp_path)


def test_keys_that_stand_for_folders(far, tmp_path):
    far.put_all(FILES | {"": b"", "b/": b"", "e/": b""})
    assert tree(fetch("faulty://set", cache=tmp_path)) == FILES


def test_patterns(far, tmp_path):
    assert set(tree(fetch("faulty://set", cache=tmp_path, include="b/*", exclude=["*/c/*"]))) == {"b/2"}
    assert set(tree(fetch("faulty://set", cache=tmp_path, include=["a", "*.json"]))) == {"a", "b/2", "d.json"}
    with pytest.raises(ArgumentError, match="none of 4 files"):
        fetch("faulty://set", cache=tmp_path, include="c*")
    assert far.opened == {"a": 1, "b/2": 1, "d.json": 1}


def test_through_memory_and_local_filesystems(tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/mirror-test/{name}": data for name, data in FILES.items()})
    try:
        assert tree(fetch("memory://mirror-test", cache=tmp_path / "cache")) == FILES
    finally:
        memory.rm("/mirror-test", recursive=True)
    source = tmp_path / "source"
    for name, data in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    (tmp_path / "elsewhere").write_bytes(b"linked")
    os.utime(tmp_path / "elsewhere", (1, 1))  # the link has other dates than what it leads to
    (source / "link").symlink_to(tmp_path / "elsewhere")
    assert tree(fetch(f"file://{source}", cache=tmp_path / "cache")) == FILES | {"link": b"linked"}


def test_folders_that_are_walked(far, tmp_path):
    assert tree(fetch("walked://set", cache=tmp_path)) == FILES
    far.put_all(FILES | {"b/2": b""})
    with pytest.raises(DataError, match="folder b"):  # fsspec itself would leave the folder out
        fetch("walked://set", cache=tmp_path)


trees = st.dictionaries(st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h"]), st.binary(max_size=20), min_size=1)


@given(st.lists(st.tuples(trees, st.sampled_from(["*", "a", "c/*", "[af]*"])), max_size=5))
def test_the_folder_never_holds_what_is_not_there(tmp_path_factory, rounds):
    faulty.register()
    cache = tmp_path_factory.mktemp("cache")
    for files, glob in rounds:
        Faulty().put_all(files)
        meant = {name for name in files if glob == "*" or name[0] in glob.strip("[]*/")}
        if not meant:
            with pytest.raises(ArgumentError):
                fetch("faulty://set", cache=cache, include=glob)
            continue
        Faulty.opened.clear()
        before = {name: Faulty.versions[name] for name in files}
        found = tree(fetch("faulty://set", cache=cache, include=glob))
        assert meant <= set(found) <= set(files)
        assert all(found[name] == files[name] for name in found)
        Faulty.opened.clear()
        assert tree(fetch("faulty://set", cache=cache, include=glob)) == found
        assert not Faulty.opened
        assert before == {name: Faulty.versions[name] for name in files}


def test_only_what_changed_comes_again(far, tmp_path):
    folder = fetch("faulty://set", cache=tmp_path)
    with open(folder / "b/2", "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    far.put_all({"a": FILES["a"], "b/2": b"y" * 100})
    assert tree(fetch("faulty://set", cache=tmp_path)) == {"a": FILES["a"], "b/2": b"y" * 100}
    assert far.opened == {"a": 1, "b/2": 2, "b/c/3": 1, "d.json": 1}
    assert mapped[:] == b"x" * 100  # a file is replaced, not written over
    mapped.close()


@pytest.mark.parametrize("harm", [lambda p: p.write_bytes(b"y" * 100), lambda p: p.unlink(), lambda p: p.touch()])
def test_what_was_changed_here_comes_again(far, tmp_path, harm):
    harm(fetch("faulty://set", cache=tmp_path) / "b/2")
    assert tree(fetch("faulty://set", cache=tmp_path)) == FILES
    assert far.opened["b/2"] == 2
    assert far.opened["a"] == 1


def test_a_line_of_the_ledger_that_was_cut_off(far, tmp_path):
    folder = fetch("faulty://set", cache=tmp_path, include="a")
    with open(folder.parent / "fetched.jsonl", "ab") as file:
        file.write(b'\n["b/2", 100, "ETa')
    for _ in range(2):
        assert tree(fetch("faulty://set", cache=tmp_path)) == FILES
    assert set(far.opened.values()) == {1}


# ---- what goes wrong -----------------------------------------------------------------------------------------------


def breaking(name, at):
    if name == "b/2" and at >= 49:
        raise RuntimeError("the line is dead")


def changing(name, at):
    if name == "b/2":
        Faulty.versions[name] += 1


@pytest.mark.parametrize(
    "state, said",
    [
        ({"sent": {"b/2": b"x" * 99}}, "cut off: 99 of 100 bytes"),
        ({"sent": {"b/2": b""}}, "cut off: 0 of 100 bytes"),
        ({"sent": {"b/2": b"x" * 101}}, "more than the 100 bytes"),
        ({"breaks": breaking}, "the line is dead"),
        ({"breaks": changing}, "has changed since it was listed"),
        ({"told": {"b/2": {"size": 10}}}, "more than the 10 bytes"),
    ],
)
def test_a_file_that_comes_otherwise_does_not_come_at_all(far, tmp_path, monkeypatch, state, said):
    for name, value in state.items():
        monkeypatch.setattr(Faulty, name, staticmethod(value) if callable(value) else value)
    for _ in range(2):
        with pytest.raises(DataError, match=said) as caught:
            fetch("faulty://set", cache=tmp_path)
        assert caught.value.file == "faulty://set/b/2"
        (folder,) = tmp_path.glob("*/set")
        assert not (folder / "b/2").exists()
        assert all(FILES[name] == data for name, data in tree(folder).items())
        assert not partial(tmp_path)
    monkeypatch.undo()
    Faulty.sent, Faulty.told, Faulty.breaks = {}, {}, staticmethod(lambda name, at: None)
    assert tree(fetch("faulty://set", cache=tmp_path)) == FILES


@pytest.mark.parametrize("size", [-1, 1 << 63, "12", 1.5, True, None])
def test_sizes_that_cannot_be(far, tmp_path, size):
    far.told["a"] = {"size": size}
    with pytest.raises(DataError, match="size of 'set/a' is"):
        fetch("faulty://set", cache=tmp_path)
    assert not far.opened


@pytest.mark.parametrize(
    "name", ["../a", "b/../../a", "..", "b/..", "/a", "b//a", "b/./a", "a\\..\\b", "a\0b", "", "b/"]
)
def test_names_that_lead_out(far, tmp_path, name):
    far.put_all({"a": b"good", name: b"bad"})
    with pytest.raises(DataError, match="leads out"):
        fetch("faulty://set", cache=tmp_path / "cache")
    assert not far.opened
    assert not list(tmp_path.iterdir())


def test_names_elsewhere(far, tmp_path, monkeypatch):
    monkeypatch.setattr(Faulty, "find", lambda self, path, detail: {"settle/a": self._entry("a"), "set/a": {}})
    with pytest.raises(DataError, match="'settle/a', a name that leads out"):
        fetch("faulty://set", cache=tmp_path)


def test_a_file_and_a_folder_of_one_name(far, tmp_path):
    far.put_all({"a": b"file", "a/b": b"in it"})
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch("faulty://set", cache=tmp_path)


def test_no_room(far, tmp_path, monkeypatch):
    room = namedtuple("room", "total used free")(10**6, 10**6 - 113, 113)
    monkeypatch.setattr(_mirror.shutil, "disk_usage", lambda path: room)
    with pytest.raises(DataError, match=r"114 bytes .* room for 113.*cache=.*include="):
        fetch("faulty://set", cache=tmp_path)
    assert not far.opened
    far.told["a"] = {"size": 1 << 62}
    monkeypatch.undo()
    with pytest.raises(DataError, match="has room for"):
        fetch("faulty://set", cache=tmp_path, include="a")
    assert shutil.disk_usage(tmp_path).free  # and nothing was written
    assert not far.opened


def test_nothing_there(far, tmp_path):
    for url in ("faulty://other", "memory://no-such-thing", f"file://{tmp_path}/nothing"):
        with pytest.raises(DataError, match=r"there is nothing|No such file") as caught:
            open_dataset(url, cache=tmp_path / "cache")
        assert caught.value.file == url
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be(far, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be used as a cache"):
        fetch("faulty://set", cache=tmp_path / "file")


# ---- without the network -------------------------------------------------------------------------------------------


def test_offline(far, tmp_path):
    with pytest.raises(DataError, match="offline=True, and nothing of it"):
        fetch("faulty://set", cache=tmp_path, offline=True)
    fetch("faulty://set", cache=tmp_path, include=["a", "b/*"])
    Faulty.reachable = False
    with pytest.raises(DataError, match="network is down; offline=True opens what"):
        fetch("faulty://set", cache=tmp_path, include="a")
    with pytest.raises(DataError, match=r"network is down$"):
        fetch("faulty://set", cache=tmp_path / "other", include="a")
    assert tree(fetch("faulty://set", cache=tmp_path, include=["a", "b/*"], offline=True)).keys() == FILES.keys() - {
        "d.json"
    }
    with pytest.raises(DataError, match=r"1 of its files are not in .* such as d\.json"):
        fetch("faulty://set", cache=tmp_path, offline=True)
    (fetch("faulty://set", cache=tmp_path, include="a", offline=True) / "a").write_bytes(b"changed here")
    with pytest.raises(DataError, match=r"such as a$"):
        fetch("faulty://set", cache=tmp_path, include="a", offline=True)
    (listing,) = tmp_path.glob("*/listing.json")
    listing.write_text('{"files": {"a": 3}}')
    with pytest.raises(DataError, match="is no listing"):
        fetch("faulty://set", cache=tmp_path, offline=True)
