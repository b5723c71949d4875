"""No name leads out of a dataset, and no length past the end of a file."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets import _files
from robocache.datasets._files import Mapped, Root, read_json
from robocache.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A folder with a file, and a file beside it that is not its own."""
    (tmp_path / "set" / "data").mkdir(parents=True)
    (tmp_path / "set" / "data" / "a.bin").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    return Root(tmp_path / "set")


@pytest.mark.parametrize("name", ["data/a.bin", "./data/a.bin", "data//a.bin", "data/..a", "...", "data/a..b"])
def test_names_inside(root: Root, name: str) -> None:
    assert root.at(name) == root.path / name


def test_a_file_is_there_or_that_is_said(root: Root) -> None:
    assert root.file("data/a.bin").read_bytes() == b"inside"
    for name in ("data/b.bin", "data", ""):
        with pytest.raises(DataError, match="no such file") as caught:
            root.file(name)
        assert caught.value.file == str(root.path / name)


@pytest.mark.parametrize(
    "name",
    ["..", "../secret", "data/../../secret", "data/../a", "/etc/passwd", "//secret", "..\\secret", "a\0b", "data/.."],
)
def test_names_that_lead_out(root: Root, name: str) -> None:
    with pytest.raises(DataError, match="leads out") as caught:
        root.at(name)
    assert caught.value.file == str(root.path)


@given(st.text(st.sampled_from("./\\a\0") | st.characters(), max_size=12))
def test_no_text_leads_out(name: str) -> None:
    root = Root(Path(__file__).parent)
    try:
        found = root.at(name)
    except DataError:
        return
    assert Path(os.path.realpath(found)).is_relative_to(root.path.resolve())


def test_links_that_stay_and_links_that_lead_out(root: Root) -> None:
    data = root.path / "data"
    (data / "inner").symlink_to(data / "a.bin")
    (data / "outer").symlink_to(root.path.parent / "secret")
    (data / "up").symlink_to(root.path.parent)
    (data / "dangling").symlink_to(root.path.parent / "nothing")
    (data / "chain").symlink_to(data / "outer")
    (data / "loop").symlink_to(data / "loop")
    assert root.file("data/inner").read_bytes() == b"inside"
    for name in ("data/outer", "data/up/secret", "data/dangling", "data/chain"):
        with pytest.raises(DataError, match="link that leads out"):
            root.at(name)
    with pytest.raises(DataError):
        root.file("data/loop")


def test_a_folder_whose_name_begins_alike_is_another(root: Root) -> None:
    (root.path.parent / "set2").mkdir()
    (root.path.parent / "set2" / "x").write_bytes(b"")
    (root.path / "x").symlink_to(root.path.parent / "set2" / "x")
    with pytest.raises(DataError, match="link that leads out"):
        root.at("x")


def test_a_dataset_behind_a_link(root: Root) -> None:
    link = root.path.parent / "link"
    link.symlink_to(root.path)
    assert Root(link).file("data/a.bin").read_bytes() == b"inside"


def test_blobs_of_a_hugging_face_cache(tmp_path: Path) -> None:
    repository, other = tmp_path / "datasets--me--set", tmp_path / "datasets--me--other"
    for folder in (repository / "snapshots" / "abc" / "meta", repository / "blobs", other / "blobs"):
        folder.mkdir(parents=True)
    (repository / "blobs" / "1").write_bytes(b"blob")
    (other / "blobs" / "2").write_bytes(b"not ours")
    meta = repository / "snapshots" / "abc" / "meta"
    (meta / "info.json").symlink_to("../../../blobs/1")
    (meta / "other.json").symlink_to("../../../../datasets--me--other/blobs/2")
    (meta / "refs").symlink_to("../../../refs")
    root = Root(repository / "snapshots" / "abc")
    assert root.file("meta/info.json").read_bytes() == b"blob"
    for name in ("meta/other.json", "meta/refs"):
        with pytest.raises(DataError, match="link that leads out"):
            root.at(name)
    (tmp_path / "plain" / "abc").mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "1").write_bytes(b"")
    (tmp_path / "plain" / "abc" / "x").symlink_to(tmp_path / "blobs" / "1")
    with pytest.raises(DataError):
        Root(tmp_path / "plain" / "abc").at("x")  # no cache: its parent is not called snapshots


# ---- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"3", b"nul", b"\xff\xfe", b"[" * 100_000, b'{"a": 1} x', None])
def test_json_that_cannot_be_used(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "info.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_json(path)
    assert caught.value.file == str(path)


def test_json_of_a_kind_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "info.json"
    path.write_text(json.dumps({"a": ["ä", 1.5]}), "utf-8")
    assert read_json(path) == {"a": ["ä", 1.5]}
    path.write_text("[1, 2]")
    assert read_json(path, list) == [1, 2]
    monkeypatch.setattr(_files, "JSON_BYTES", 5)
    with pytest.raises(DataError, match="longer than 5"):
        read_json(path, list)


# ---- maps ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mapped(tmp_path: Path) -> Mapped:
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    return Mapped(tmp_path / "a.bin")


@pytest.mark.parametrize("offset, length", [(0, 100), (100, 0), (99, 1), (0, 0), (40, 7)])
def test_views_within(mapped: Mapped, offset: int, length: int) -> None:
    assert bytes(mapped.view(offset, length)) == bytes(range(offset, offset + length))


@pytest.mark.parametrize(
    "offset, length", [(0, 101), (100, 1), (-1, 1), (5, -1), (-5, 5), (2**63, 0), (1, 2**64), (-(2**64), 2**64 + 3)]
)
def test_views_past_the_end(mapped: Mapped, offset: int, length: int) -> None:
    with pytest.raises(DataError, match="is cut off") as caught:
        mapped.view(offset, length, episode=3, key="cam")
    assert (caught.value.file, caught.value.episode, caught.value.key) == (str(mapped.path), 3, "cam")


def test_arrays_outlive_the_map(mapped: Mapped) -> None:
    array = np.frombuffer(mapped.view(10, 20), np.uint8)
    mapped.close()
    assert array.tolist() == list(range(10, 30))
    mapped.close()


def test_a_map_that_is_closed_gives_nothing(mapped: Mapped) -> None:
    mapped.close()
    with pytest.raises(ValueError, match=r"released|closed"):
        mapped.view(0, 1)


def test_files_that_cannot_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    empty = Mapped(tmp_path / "empty")
    assert (empty.size, bytes(empty.view(0, 0))) == (0, b"")
    with pytest.raises(DataError):
        empty.view(0, 1)
    empty.close()
    for name in ("nothing", "."):
        with pytest.raises(DataError) as caught:
            Mapped(tmp_path / name)
        assert caught.value.file == str(tmp_path / name)
