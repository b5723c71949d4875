"""CALVIN folders: equal to NumPy, read member by member, damage and bombs refused."""

import builtins
import os
import pickle
import random
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets import _npz
from robocache.errors import ArgumentError, DataError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import made  # noqa: E402


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return made.calvin(tmp_path_factory.mktemp("calvin"))


@pytest.fixture
def scratch(recorded, tmp_path):
    return Path(shutil.copytree(recorded, tmp_path / "set"))


def test_every_value_equals_numpy(recorded):
    compared = 0
    with rd.open_dataset(recorded) as dataset:
        assert (dataset.format, dataset.control_hz, dataset.control_hz_origin) == ("calvin", 30.0, "registry")
        assert {name: list(found) for name, found in dataset.splits.items()} == {"training": [0, 1], "validation": [2]}
        assert dataset.index.lengths.tolist() == [6, 4, 3]
        for episode in dataset:
            first, last = episode.meta["first_frame"], episode.meta["last_frame"]
            folder = recorded / episode.id.split("/")[0]
            frames = [dict(np.load(folder / f"episode_{number:07d}.npz")) for number in range(first, last + 1)]
            assert set(episode) == set(frames[0])
            for name, stream in episode.items():
                expected = np.stack([frame[name] for frame in frames])
                for index in (None, [2, 0, 2, -1], slice(1, 3)):
                    got = stream.read(index)
                    want = expected if index is None else expected[index]
                    assert (got.dtype, got.shape) == (want.dtype, want.shape)
                    assert got.tobytes() == want.tobytes()
                    compared += want.size
                assert stream.clock == "index"
                assert int(stream.times[1]) == 33_333_333
        assert compared > 100_000
        assert not list(dataset.validate())


def test_kinds_names_and_actions(recorded):
    dataset = rd.open_dataset(recorded / "training", keys=["rel_actions", "depth_static", "rgb_static"])
    assert {name: spec.kind for name, spec in dataset.specs.items()} == {
        "rel_actions": "vector", "depth_static": "depth", "rgb_static": "image",
    }  # fmt: skip
    assert dataset.specs["rel_actions"].names == ("x", "y", "z", "euler_x", "euler_y", "euler_z", "gripper")
    assert (dataset.action.relative, dataset.action.gripper) == (True, (-1.0, 1.0))
    assert dataset.meta["actions"]["actions"].relative is False
    assert dataset.meta["statistics"].startswith("robot_obs:\n  - _target_")
    with pytest.raises(DataError, match="typo"):
        rd.open_dataset(recorded, keys=["typo"])
    with pytest.raises(ArgumentError):
        rd.open_dataset(recorded, key="rgb_static")


@pytest.mark.parametrize("how", ("cut", "flipped", "gone"))
def test_a_first_frame_that_is_damaged_does_not_close_the_set(scratch, how):
    whole = rd.open_dataset(scratch)
    frame = scratch / "training" / "episode_0000053.npz"
    data = bytearray(frame.read_bytes())
    data[len(data) // 2] ^= 255
    frame.write_bytes(data if how == "flipped" else data[:100])
    if how == "gone":
        frame.unlink()
    dataset = rd.open_dataset(scratch)
    assert dict(dataset.specs) == dict(whole.specs)
    assert dataset[0]["actions"].read(1).tobytes() == whole[0]["actions"].read(1).tobytes()
    assert {Path(finding.file).name for finding in dataset.validate()} == {frame.name}
    failed = [error for name in dataset.specs if (error := fault_of(dataset[0][name])) is not None]
    assert {error.file for error in failed} == {str(frame)}
    assert how == "flipped" or len(failed) == len(dataset.specs)


def fault_of(stream):
    try:
        stream.read(0)
    except DataError as error:
        return error
    return None


def test_a_set_of_damaged_frames_alone_says_so(scratch):
    for frame in scratch.rglob("episode_*.npz"):
        frame.write_bytes(b"PK")
    with pytest.raises(DataError, match="archive") as caught:
        rd.open_dataset(scratch)
    assert caught.value.file.endswith("episode_0000053.npz")  # the first is told


def test_language_is_local_to_the_episode(recorded):
    dataset = rd.open_dataset(recorded)
    assert dataset[0].language == (
        rd.Span(1, 5, "open the drawer 0", "open_drawer", "lang_annotations"),
        rd.Span(0, 6, "open the drawer 1", "open_drawer", "lang_annotations"),
    )
    assert dataset[1].language == (rd.Span(0, 4, "open the drawer 2", "open_drawer", "lang_annotations"),)
    reference = np.load(recorded / "training/lang_annotations/auto_lang_ann.npy", allow_pickle=True).item()
    np.testing.assert_array_equal(dataset[0].meta["language_embeddings"], reference["language"]["emb"][[0, 1]])
    assert dataset[1].meta["scene"] == "calvin_scene_A"
    assert dataset.meta["scene_info"] == {
        "training": {"calvin_scene_A": [53, 103]},
        "validation": {"calvin_scene_A": [7, 9]},
    }
    assert not rd.open_dataset(recorded, language="lang_other")[0].language


def test_folders_are_never_listed_and_files_opened_once(recorded, monkeypatch):
    def forbidden(*_):
        raise AssertionError("a folder was listed")

    for module, name in ((os, "scandir"), (os, "listdir"), (Path, "iterdir"), (Path, "glob")):
        monkeypatch.setattr(module, name, forbidden)
    opened, real = [], os.open
    monkeypatch.setattr(_npz.os, "open", lambda path, *args: (opened.append(Path(path).name), real(path, *args))[1])
    episode = rd.open_dataset(recorded, format="calvin")[0]
    for name in ("rgb_static", "actions", "robot_obs"):
        episode[name].read()
        episode[name].read([5, 0])
    assert len(opened) == len(set(opened)) == 6


def test_only_wanted_members_are_unpacked(recorded, monkeypatch):
    read, real = [], _npz.Archive.read
    monkeypatch.setattr(_npz.Archive, "read", lambda self, key, **how: (read.append(key), real(self, key, **how))[1])
    rd.open_dataset(recorded, keys=["actions"])[0]["actions"].read()
    assert set(read) == {"actions"}


def test_findings(scratch):
    folder = scratch / "training"
    (folder / "episode_0000055.npz").unlink()
    data = bytearray((folder / "episode_0000057.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "episode_0000057.npz").write_bytes(data)
    np.save(folder / "ep_lens.npy", np.array([6, 9]))
    np.save(folder / "scene_info.npy", {"calvin_scene_A": [0, 60]})
    annotations = np.load(folder / "lang_annotations/auto_lang_ann.npy", allow_pickle=True).item()
    annotations["info"]["indx"] = [(54, 57), (57, 61), (101, 120)]
    np.save(folder / "lang_annotations/auto_lang_ann.npy", annotations)
    dataset = rd.open_dataset(scratch)
    assert [span[:2] for span in dataset[0].language] == [(1, 5)]
    found = [(f.level, Path(f.file).name, f.message) for f in dataset.validate()]
    names = [name for _, name, _ in found]
    assert names[:4] == ["auto_lang_ann.npy", "auto_lang_ann.npy", "training", "ep_lens.npy"]
    assert names[4:] == ["episode_0000055.npz", "episode_0000057.npz"]
    assert "frames 57 to 61, which no episode holds" in found[0][2]
    with pytest.raises(DataError, match=r"episode_0000055\.npz.*episode training/0"):
        dataset[0]["actions"].read()
    assert dataset[0]["actions"].read([0, 1]).shape == (2, 7)


def write_npz(path, header, data, *, size=None, method=zipfile.ZIP_DEFLATED):
    """An archive with one member ``actions``, whatever its header says."""
    head = header.encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("actions.npy", b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data)
    if size is not None:  # in the table of members, where it is announced
        raw = bytearray(path.read_bytes())
        at = raw.rindex(b"PK\x01\x02")
        raw[at + 24 : at + 28] = size.to_bytes(4, "little")
        path.write_bytes(raw)


GOOD = "{'descr': '<f8', 'fortran_order': False, 'shape': (7,), }"
HOSTILE = {
    "giant shape": (GOOD.replace("(7,)", "(1152921504606846976,)"), bytes(56), {}),
    "product that overflows": (GOOD.replace("(7,)", "(4294967296, 4294967296)"), b"", {}),
    "negative": (GOOD.replace("(7,)", "(-7,)"), bytes(56), {}),
    "objects": (GOOD.replace("<f8", "|O"), pickle.dumps([0] * 7), {}),
    "nested": (GOOD.replace("(7,)", "(" * 90 + ")" * 90), bytes(56), {}),
    "no header": ("import os", bytes(56), {}),
    "bomb": (GOOD, bytes(1 << 24), {}),
    "bomb that says so": (GOOD, bytes(1 << 24), {"size": 2**32 - 2}),
    "bomb that lies": (GOOD, bytes(1 << 24), {"size": 184}),
    "short": (GOOD, bytes(55), {}),
    "long": (GOOD, bytes(57), {}),
    "other shape": (GOOD.replace("(7,)", "(8,)"), bytes(64), {}),
    "other type": (GOOD.replace("<f8", "<i8"), bytes(56), {}),
    "stored and cut": (GOOD, bytes(56), {"size": 400, "method": zipfile.ZIP_STORED}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(scratch, name):
    header, data, how = HOSTILE[name]
    path = scratch / "training" / "episode_0000054.npz"
    write_npz(path, header, data, **how)
    dataset = rd.open_dataset(scratch, keys=["actions"])
    with pytest.raises(DataError, match=r"episode_0000054\.npz.*actions"):
        dataset[0]["actions"].read(1)
    write_npz(path, GOOD, np.arange(7.0).tobytes())
    assert rd.open_dataset(scratch)[0]["actions"].read(1).tolist() == list(range(7))


@pytest.mark.parametrize("bounds", [
    np.array([[5, 3]]), np.array([[-1, 3]]), np.array([[0, 2**62]]), np.array([1, 2]), np.array([[0.0, 1.0]]),
    np.array([[None, 1]]),
], ids=str)  # fmt: skip
def test_bounds_that_are_not_possible(scratch, bounds):
    np.save(scratch / "training" / "ep_start_end_ids.npy", bounds)
    with pytest.raises(DataError, match="ep_start_end_ids"):
        rd.open_dataset(scratch)


def test_an_episode_that_claims_too_much(scratch):
    np.save(scratch / "training" / "ep_start_end_ids.npy", np.array([[53, 2**31 - 1]]))
    dataset = rd.open_dataset(scratch)
    with pytest.raises(DataError, match="read fewer at once"):
        dataset[0]["rgb_static"].read()
    with pytest.raises(DataError, match="episode_10000000"):
        dataset[0]["actions"].read([0, 10_000_000 - 53])


class Evil:
    def __reduce__(self):
        return builtins.exec, ("raise SystemExit",)


@pytest.mark.parametrize("name", ["lang_annotations/auto_lang_ann.npy", "scene_info.npy"])
def test_code_in_annotations_is_not_run(scratch, name):
    np.save(scratch / "training" / name, {"language": Evil()})
    dataset = rd.open_dataset(scratch)
    assert any("exec' is not allowed" in found.message for found in dataset.validate())
    with pytest.raises(DataError, match=r"exec' is not allowed"):
        _ = dataset[0].language, dataset[0].meta["scene"]


def test_links_that_lead_out_are_refused(scratch, tmp_path):
    path = scratch / "training" / "episode_0000054.npz"
    path.rename(tmp_path / "outside.npz")
    path.symlink_to(tmp_path / "outside.npz")
    with pytest.raises(DataError, match="leads out"):
        rd.open_dataset(scratch)[0]["actions"].read(1)


@pytest.mark.parametrize("name", [
    "episode_0000054.npz", "ep_start_end_ids.npy", "lang_annotations/auto_lang_ann.npy", "scene_info.npy",
])  # fmt: skip
def test_damage_gives_right_values_or_data_errors(scratch, name):
    """Members have a checksum, so no wrong value of a frame gets through."""
    expected = {key: stream.read(1).tobytes() for key, stream in rd.open_dataset(scratch)[0].items()}
    path, rng = scratch / "training" / name, random.Random(name)
    base, refused = path.read_bytes(), 0
    for _ in range(40):
        data = bytearray(base)
        data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            with rd.open_dataset(scratch) as dataset:
                episode = dataset[0]
                if name.startswith("episode"):
                    for key, stream in episode.items():
                        try:
                            assert stream.read(1).tobytes() == expected[key]
                        except DataError:
                            refused += 1
                _ = episode.language, episode.meta["scene"], episode.meta["language_embeddings"]
        except DataError:
            refused += 1
    assert refused > 5
