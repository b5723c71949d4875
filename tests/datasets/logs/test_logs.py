"""Logs of every form, written here: options, pictures beside rows, arrays, findings."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robocache.datasets import open_dataset
from robocache.errors import ArgumentError, DataError


def text(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(body.encode()) if path.suffix == ".gz" else body.encode())
    return path


@pytest.mark.parametrize("body,streams", [
    ("t,a_x,a_y,a_z,b\n0.5,1,2,3,4\n1.5,5,6,7,8\n", {"a": (3,), "b": ()}),
    ("# time gx gy gz ax ay az\n0.5 1 2 3 4 5 6\n\n# a word\n1.5 1 2 3 4 5 6\n", {"g": (3,), "a": (3,)}),
    ("time (s);q w;q x;q y;q z\n0.5;1;0;0;0\r\n1.5;1;0;0;0\r\n", {"q": (4,)}),
    ("Timestamp [s]\tGyro X\tGyro Y\tGyro Z\n0.5\t1\t2\t3\n1.5\t1\t2\t3\n", {"Gyro": (3,)}),
    ("\ufefft,x,y,note\n0.5,1,2,a\n1.5,3,4,\"b, c\"\n", {"x": (), "y": (), "note": ()}),
    ("name,time_us,v\nq,500000,nan\nr,1500000,-inf\n", {"name": (), "v": ()}),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".csv", ".txt.gz"])
def test_headers(tmp_path, body, streams, suffix):
    episode = open_dataset(text(tmp_path / f"log{suffix}", body))[0]
    assert {name: stream.shape for name, stream in episode.items()} == streams
    for stream in episode.values():
        assert (stream.clock, stream.times.tolist()) == ("log", [500_000_000, 1_500_000_000])
        assert len(stream.read()) == 2


def test_options_choose_columns_and_stamps(tmp_path):
    path = text(tmp_path / "log.csv", "a,b,c\n1,10,3\n2,20,4\n")
    episode = open_dataset(path, time_column="b", time_unit="ms", columns={"pair": ["c", 0]}, clock="robot")[0]
    assert list(episode) == ["pair"]
    assert episode["pair"].read().tolist() == [[3, 1], [4, 2]]
    assert (episode["pair"].clock, episode["pair"].times.tolist()) == ("robot", [10_000_000, 20_000_000])
    for rate in ({"rate": 50}, {"control_hz": 50}):
        stream = open_dataset(path, **rate)[0]["b"]
        assert (stream.clock, stream.times.tolist()) == ("index", [0, 20_000_000])
    with pytest.raises(DataError, match="no stamps and no known rate"):
        _ = open_dataset(path)[0]["b"].times
    assert open_dataset(path).index.lengths.tolist() == [2]


@pytest.mark.parametrize("options", [
    {"time_column": "z"}, {"time_column": 3}, {"columns": {"p": ["z"]}}, {"columns": {"p": ["a"]}, "time_column": "a"},
    {"time_unit": "h"}, {"rate": 0}, {"clock": "index"}, {"split_by": "z"}, {"max_bytes": 0}, {"sep": ","},
])  # fmt: skip
def test_options_that_cannot_be(tmp_path, options):
    path = text(tmp_path / "log.csv", "a,b,c\n1.5,10,3\n2.5,20,4\n")
    with pytest.raises(ArgumentError, match=r"."):
        open_dataset(path, **options)


def test_a_unit_that_cannot_be_told_is_asked_for(tmp_path):
    path = text(tmp_path / "log.csv", "time,v\n0,1\n5,2\n")
    with pytest.raises(DataError, match="time_unit="):
        open_dataset(path)
    assert open_dataset(path, time_unit="us")[0]["v"].times.tolist() == [0, 5000]


@pytest.mark.parametrize("body,line", [
    ("t,v\n0.5,1\n1.5,2,3\n", "line 3 has 3 columns"), ("t,v\n0.5,1\n\n1.5\n", "line 4 has 1 columns"),
    ("t,v\n0.5,1\n# x\n1.5,two\n", "line 4 has 'two'"), ("t,v\n0.5,1\n1.5,\n", "line 3 has ''"),
    ("t v\n0.5 1\n1.5 0x3\n", "line 3 has '0x3'"), ("t,v\n0.5,1\nnan,2\n", "line 3"),
    ("t,v\n0.5,1\n1e40,2\n", "line 3"),
    ("t,v\n0.5,1\n" + "1" * 80 + ",2\n", "line 3"),
])  # fmt: skip
def test_a_bad_row_is_named_wherever_it_is(tmp_path, body, line, monkeypatch):
    monkeypatch.setattr("robocache.datasets.logs._table.ROWS", 100)
    near = text(tmp_path / "near.csv", body)
    with pytest.raises(DataError, match=line) as raised:
        open_dataset(near)[0]["v"].read()
    assert raised.value.file == str(near)
    number = int(line.split()[1])
    filler = "0.5,1\n" if "," in body.splitlines()[0] else "0.5 1\n"
    head, rest = body.split("\n", 1)
    far = text(tmp_path / "far.csv", f"{head}\n{filler * 350}{rest}")
    with pytest.raises(DataError, match=f"line {number + 350}"):
        open_dataset(far)[0]["v"].read()
    assert any(f"line {number + 350}" in finding.message for finding in open_dataset(far).validate())


@pytest.mark.parametrize("bad", ['1.5,"2', "1.5,2\r2.5,3"])
def test_lines_that_are_no_rows(tmp_path, bad):
    path = text(tmp_path / "log.csv", "t,v\n" + "0.5,1\n" * 300 + bad + "\n0.5,1\n" * 9)
    with pytest.raises(DataError, match=r"rows|line 302|string"):
        open_dataset(path)[0]["v"].read()


def euroc(root: Path) -> list[np.ndarray]:
    """A folder as EuRoC's, with four pictures."""
    rng, frames = np.random.default_rng(0), []
    stamps = [1403715273262142976 + 50_000_000 * k for k in range(4)]
    listed = "".join(f"{t},{t}.png\n" for t in stamps)
    text(root / "mav0/cam0/data.csv", "#timestamp [ns],filename\n" + listed.replace("\n", "\r\n"))
    text(root / "mav0/imu0/data.csv", "#timestamp [ns],w_x [rad s^-1],w_y [rad s^-1],w_z [rad s^-1]\n" + "".join(
        f"{t},{k},2,3\n" for k, t in enumerate(stamps)))  # fmt: skip
    (root / "mav0/cam0/data").mkdir()
    for stamp in stamps:
        frames.append(rng.integers(0, 255, (6, 5)).astype(np.uint8))
        Image.fromarray(frames[-1]).save(root / f"mav0/cam0/data/{stamp}.png")
    return frames


@pytest.mark.parametrize("inner", ["", "mav0"])
def test_euroc_folder_with_pictures(tmp_path, inner):
    frames = euroc(tmp_path / "seq")
    dataset = open_dataset(tmp_path / "seq" / inner)
    camera = dataset[0]["cam0"]
    assert (dataset.format, camera.kind, camera.shape, camera.codec) == ("logs", "image", (6, 5, 1), "png")
    assert camera.read().tolist() == np.stack(frames)[..., None].tolist()
    assert dataset[0]["imu0/w"].times.tolist() == camera.times.tolist()
    data = camera.read([3], decode=False)[0]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), frames[3])
    (place,) = camera.ranges([3])
    assert Path(place.file).read_bytes()[place.offset : place.offset + place.length] == data
    assert not list(dataset.validate())


def test_pictures_that_are_missing_damaged_or_elsewhere(tmp_path):
    euroc(tmp_path / "seq")
    folder = tmp_path / "seq/mav0/cam0"
    names = sorted((folder / "data").iterdir())
    names[1].unlink()
    names[2].write_bytes(names[2].read_bytes()[:50])
    listed = (folder / "data.csv").read_text()
    (folder / "data.csv").write_text(listed.replace(names[3].name, "../../../../out.png"))
    dataset = open_dataset(tmp_path / "seq")
    assert dataset[0]["cam0"].read(0).shape == (6, 5, 1)
    for at, message in ((1, "no such file"), (2, "PNG"), (3, "leads out")):
        with pytest.raises(DataError, match=message):
            dataset[0]["cam0"].read(at)
    assert len([finding for finding in dataset.validate() if finding.level == "error"]) == 3


def test_stamps_that_jump_are_kept_and_found(tmp_path):
    times = [0.0, 0.01, 0.02, 0.02, 0.015, 0.03, 0.04, 5.0, 5.01]
    path = text(tmp_path / "log.csv", "t,v\n" + "".join(f"{t},1\n" for t in times))
    dataset = open_dataset(path)
    assert dataset[0]["v"].times.tolist() == [round(t * 1000) * 10**6 for t in times]
    said = " ".join(finding.message for finding in dataset.validate())
    for part in (
        "go back 1 times, first at sample 4",
        "stand still 1 times, first at sample 3",
        "4.960 s after sample 6",
    ):
        assert part in said


def test_arrays(tmp_path):
    rng = np.random.default_rng(0)
    values = {"pose": rng.normal(size=(7, 3)), "label": np.array(list("abcdefg")), "times": np.arange(7) * 0.25,
              "image": rng.integers(0, 255, (7, 4, 5, 3)).astype(np.uint8), "other": np.arange(3),
              "turned": np.asfortranarray(rng.normal(size=(7, 2)))}  # fmt: skip
    np.savez_compressed(tmp_path / "a.npz", **values)
    episode = open_dataset(tmp_path / "a.npz")[0]
    assert set(episode) == set(values) - {"times"}
    for name, stream in episode.items():
        assert np.array_equal(stream.read(), values[name])
        assert np.array_equal(stream.read([2, 1]), values[name][[2, 1]])
        assert stream.clock == ("index" if name == "other" else "log")
    assert episode["pose"].times.tolist() == [250_000_000 * k for k in range(7)]
    assert (episode["image"].kind, episode["label"].kind) == ("image", "text")
    table = np.column_stack([np.arange(7) * 10, values["pose"]])
    np.save(tmp_path / "b.npy", table)
    stream = open_dataset(tmp_path / "b.npy", time_column=0, time_unit="ms")[0]["b"]
    assert (stream.read().tolist(), stream.times[6]) == (values["pose"].tolist(), 60_000_000)
    assert open_dataset(tmp_path / "b.npy")[0]["b"].read(slice(2, 4)).tolist() == table[2:4].tolist()
    fields = np.zeros(4, [("t_ns", "i8"), ("v", "f4", 3)])
    fields["t_ns"], fields["v"][:, 1] = 2**60 + np.arange(4), range(4)
    np.save(tmp_path / "c.npy", fields)
    stream = open_dataset(tmp_path / "c.npy")[0]["v"]
    assert (stream.times.tolist(), stream.read()[:, 1].tolist()) == ((2**60 + np.arange(4)).tolist(), [0, 1, 2, 3])


def test_files_of_one_folder_do_not_hide_each_other(tmp_path):
    text(tmp_path / "f/a.csv", "t,v\n0.5,1\n")
    text(tmp_path / "f/a.txt", "t,v\n0.5,1\n")
    with pytest.raises(DataError, match="two files have a stream"):
        open_dataset(tmp_path / "f")
    (tmp_path / "f/a.txt").unlink()
    text(tmp_path / "f/b.csv", "v,v\n0.5,1\n")
    dataset: Any = open_dataset(tmp_path / "f", columns={"b/w": [1]})
    assert dataset[0]["b/w"].read().tolist() == [[1.0]]
    with pytest.raises(ArgumentError, match="belong to no file"):
        open_dataset(tmp_path / "f", columns={"z/w": [1]})
