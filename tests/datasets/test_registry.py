"""Which reader gets a path, and what is said when none does."""

import importlib.metadata
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets import _registry
from robocache.datasets.rlds import write_rlds
from robocache.errors import ArgumentError, DataError
from tests.datasets import toy

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in ("toy.json", "other.json"):
        (tmp_path / file).write_text("{}")
    return tmp_path


def named(name: str, **more: Any) -> rd.Reader:
    """A reader whose dataset says which options it was given."""

    def open_toy(path: Path, *, control_hz: Any, verify: Any, camera: str = "front") -> rd.Dataset:
        told = {"control_hz": control_hz, "verify": verify, "camera": camera}
        return toy.dataset(path, [toy.episode(0), toy.episode(1)], format=name, meta=told)

    return toy.reader(name, open_toy, **more)


def test_the_surest_reader_is_taken_whatever_the_order(folder: Path) -> None:
    readers = [named("half", sure=0.5), named("sure", sure=0.9), named("no", sure=1.0, file="nothing")]
    for order in (readers, readers[::-1]):
        _registry._registered.clear()
        for one in order:
            rd.register(one)
        assert rd.open_dataset(folder).format == "sure"
    assert rd.open_dataset(folder, format="half").format == "half"
    assert rd.open_dataset(folder, format="no").format == "no"  # said, so not looked for
    assert {"half", "sure", "no"} <= set(rd.formats())


def test_a_reader_of_the_same_name_is_replaced(folder: Path) -> None:
    rd.register(named("toy", sure=0.0))
    rd.register(named("toy", sure=0.7))
    assert rd.open_dataset(str(folder)).format == "toy"
    assert rd.formats().count("toy") == 1


def test_nothing_there_and_no_reader(folder: Path) -> None:
    rd.register(named("toy", file="nothing"))
    with pytest.raises(DataError, match="there is nothing") as caught:
        rd.open_dataset(folder / "absent")
    assert caught.value.file == str(folder / "absent")
    with pytest.raises(DataError, match=r"no dataset that a reader knows \(.*toy.*\); say format="):
        rd.open_dataset(folder)


def test_no_reader_at_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registry, "BUILT_IN", ())
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    with pytest.raises(DataError, match="no dataset that a reader knows"):
        rd.open_dataset(folder)


def test_wrong_calls(folder: Path) -> None:
    rd.register(named("toy"))
    for wrong, said in (
        ({"format": "tfrecords"}, r"format: 'tfrecords' is not one of \[.*'toy'"),
        ({"split": "test"}, r"split: 'test' is not there; there are \['train'\]"),
        ({"speed": 3}, "toy has no such option: .*'speed'"),
        ({"control_hz": 0}, "control_hz"), ({"control_hz": -5.0}, "control_hz"),
        ({"control_hz": float("nan")}, "control_hz"), ({"control_hz": float("inf")}, "control_hz"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=said):
            rd.open_dataset(folder, **wrong)


def test_a_type_error_of_the_reader_itself_is_no_wrong_option(folder: Path) -> None:
    def open_badly(path: Path, **options: Any) -> rd.Dataset:
        return len(3)  # type: ignore[arg-type,return-value]

    rd.register(toy.reader("toy", open_badly))
    with pytest.raises(TypeError, match="has no len"):
        rd.open_dataset(folder, camera="front")


def test_options_reach_the_reader(folder: Path) -> None:
    rd.register(named("toy"))
    assert rd.open_dataset(folder).meta == {"control_hz": None, "verify": True, "camera": "front"}
    opened = rd.open_dataset(folder, control_hz=12.5, verify=False, camera="wrist", split="train")
    assert opened.meta == {"control_hz": 12.5, "verify": False, "camera": "wrist"}
    assert [one.id for one in opened] == [0, 1]


PACKAGE = {
    "theirs.py": "from tests.datasets import toy\nMADE = []\n\n\ndef opened(path, *, control_hz, verify):\n"
    "    MADE.append(path)\n    return toy.dataset(path, [toy.episode(0)], format='theirs')\n\n\n"
    "READER = toy.reader('theirs', opened, sure=0.8)\n",
    "theirs-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n",
    "theirs-1.0.dist-info/entry_points.txt": "[robocache.datasets]\ntheirs = theirs:READER\n",
}


def in_folder(at: Path) -> str:
    for name, text in PACKAGE.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text(text)
    return str(at)


def in_zip(at: Path) -> str:
    with zipfile.ZipFile(at, "w") as file:
        for name, text in PACKAGE.items():
            file.writestr(name, text)
    return str(at)


def in_egg(at: Path) -> str:
    in_folder(at)
    (at / "theirs-1.0.dist-info").rename(at / "EGG-INFO")
    (at / "EGG-INFO" / "METADATA").rename(at / "EGG-INFO" / "PKG-INFO")
    return str(at)


@pytest.mark.parametrize("place", [in_folder, in_zip, in_egg])
def test_readers_of_other_packages_come_by_entry_points(
    place: Callable[[Path], str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    monkeypatch.syspath_prepend(place(tmp_path / "theirs-1.0.egg"))
    assert rd.open_dataset(folder).format == "theirs"
    assert rd.open_dataset(folder).format == "theirs"
    assert [folder] * 2 == sys.modules["theirs"].MADE
    rd.register(named("theirs", sure=0.8, file="other.json"))
    (folder / "other.json").unlink()
    with pytest.raises(DataError):
        rd.open_dataset(folder)  # what was registered here goes before what is installed


def test_a_finder_of_its_own_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []

    def found(group: str) -> list[Any]:
        assert group == "robocache.datasets"
        return [SimpleNamespace(name="theirs", load=lambda: loaded.append(1) or named("theirs", sure=0.8))]

    finder = SimpleNamespace(find_spec=lambda *given: None, find_distributions=lambda *given: [])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    monkeypatch.setattr(importlib.metadata, "entry_points", found)
    assert rd.open_dataset(folder).format == rd.open_dataset(folder).format == "theirs"
    assert loaded == [1]  # looked for once


def test_packages_without_readers_are_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other-2.0.dist-info").mkdir()
    (tmp_path / "other-2.0.dist-info" / "entry_points.txt").write_text("[console_scripts]\nrobocache.datasets = o:m\n")
    (tmp_path / "bare-1.0.egg-info").write_text("Name: bare\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "absent.zip")])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: pytest.fail("looked through"))
    assert set(rd.formats()) == {reader.name for reader in _registry.BUILT_IN}


def test_built_in_readers_keep_the_rules(tmp_path: Path) -> None:
    """None takes an empty folder or an empty file for its own, and none raises over links to nowhere."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.bin").write_bytes(b"")
    (tmp_path / "links").mkdir()
    for name in ("dataset_info.json", "meta", "data", "trajectory.h5"):
        (tmp_path / "links" / name).symlink_to("nowhere")
    assert len({reader.name for reader in _registry.readers().values()}) >= len(_registry.BUILT_IN)
    for reader in _registry.readers().values():
        for path in (tmp_path / "empty", tmp_path / "file.bin", tmp_path / "absent"):
            assert reader.sniff(path) == 0
        assert 0 <= reader.sniff(tmp_path / "links") <= 1


def loaded_by(*lines: str, path: Path) -> set[str]:
    """Modules that are loaded after a program has run in a process of its own."""
    program = "\n".join(["import sys", "import robocache.datasets as rd", *lines, "print(*sys.modules)"])
    ran = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


def readers_of(modules: set[str]) -> set[str]:
    parts = {name.split(".")[2] for name in modules if name.startswith("robocache.datasets.")}
    return {"hdf5" if name.startswith("_hdf5") else name for name in parts} & {*rd.formats(), "hdf5"}


def test_only_the_reader_that_is_opened_is_imported(tmp_path: Path) -> None:
    fixture = Path(__file__).parent / "lerobot" / "lerobot_v21_small"
    pytest.importorskip("pyarrow")
    assert readers_of(loaded_by("print(rd.open_dataset(sys.argv[1])[0])", path=fixture)) == {"lerobot"}
    table = tmp_path / "log.csv"
    table.write_text("time,x\n0.0,1\n0.1,2\n")
    assert readers_of(loaded_by("rd.open_dataset(sys.argv[1])[0]['x'].read()", path=table)) == {"logs"}
    assert readers_of(loaded_by("rd.formats()", path=tmp_path)) == set()


def test_every_built_in_reader_is_where_it_is_looked_for(tmp_path: Path) -> None:
    """Each is imported, and takes what `open_dataset` gives to all."""
    names = [reader.name for reader in _registry.BUILT_IN]
    assert sorted(names) == names
    for name in names:
        with pytest.raises((DataError, OSError)):
            rd.open_dataset(tmp_path, format=name)
        with pytest.raises(ArgumentError, match=f"{name} has no such option: .*'speed'"):
            rd.open_dataset(tmp_path, format=name, speed=3)


def test_looking_at_a_path_imports_no_extra(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nimport robocache.datasets as rd\n"
        "heavy = {'pyarrow', 'h5py', 'av', 'PIL', 'simplejpeg', 'google_crc32c', 'rosbags', 'array_record', 'numba',"
        " 'cupy', 'torch', 'tensorflow', 'scipy', 'pandas'}\n"
        "first = sorted(heavy & set(sys.modules))\n"
        "try:\n    rd.open_dataset(sys.argv[1])\nexcept ValueError:\n    pass\n"
        "print(first, sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[] []"


def test_what_was_opened_can_be_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened again, in the same way, wherever the other process is."""
    episodes = [rd.Episode.from_arrays(k, {"x": np.arange(3.0) + k}, rate=4) for k in range(3)]
    made = write_rlds({"train": episodes[:2], "test": episodes[2:]}, tmp_path / "set", name="made")
    monkeypatch.chdir(made.parent)
    dataset = rd.open_dataset(Path(made.name), control_hz=8.0, verify=False, language=[])
    monkeypatch.chdir(tmp_path)
    for one, ids in ((dataset, 3), (dataset.split("test"), 1), (dataset.split("train"), 2)):
        again = pickle.loads(pickle.dumps(one))
        assert len(again) == len(one) == ids
        assert (again.name, again.control_hz, again.control_hz_origin) == ("made", 8.0, "user")
        assert [k["x"].read().tolist() for k in again] == [k["x"].read().tolist() for k in one]
        assert again.again == one.again
    far = rd.open_dataset(f"file://{made}", cache=tmp_path / "cache", split="test")
    assert pickle.loads(pickle.dumps(far))[0]["x"].read().tolist() == [2.0, 3.0, 4.0]
    with pytest.raises(ArgumentError, match="only what open_dataset has opened"):
        pickle.dumps(toy.dataset(tmp_path, episodes))
