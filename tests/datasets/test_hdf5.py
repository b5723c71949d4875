"""What an HDF5 file may not do to its reader, and the odd things that it may hold."""

import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.errors import DataError

h5py = pytest.importorskip("h5py")
sys.path.insert(0, str(Path(__file__).parent))
import made  # noqa: E402


def _external_link(demo, tmp_path):
    demo["out"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "/secret")


def _soft_to_external(demo, tmp_path):
    demo.file["hidden"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "/")
    demo["out"] = h5py.SoftLink("/hidden/secret")


def _endless_soft(demo, tmp_path):
    demo["out"] = h5py.SoftLink(f"{demo.name}/out")


def _external_storage(demo, tmp_path):
    demo.create_dataset("out", (2,), "f8", external=[(str(tmp_path / "secret.bin"), 0, 16)])


def _virtual(demo, tmp_path):
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf5"), "secret", (2,))
    demo.create_virtual_dataset("out", layout)


def _object_reference(demo, tmp_path):
    demo.create_dataset("out", data=np.array([demo.ref, demo.ref], h5py.ref_dtype))


def _region_reference(demo, tmp_path):
    region = demo["actions"].regionref[:1]
    demo.create_dataset("out", data=np.array([region, region], h5py.regionref_dtype))


def _compound(demo, tmp_path):
    demo.create_dataset("out", data=np.zeros(2, [("a", "f8"), ("b", "i4")]))


@pytest.mark.parametrize("plant", [
    _external_link, _soft_to_external, _endless_soft, _external_storage, _virtual, _object_reference,
    _region_reference, _compound,
])  # fmt: skip
def test_what_leads_out_of_the_file_is_refused(tmp_path, plant):
    with h5py.File(tmp_path / "other.hdf5", "w") as other:
        other["secret"] = np.arange(2.0)
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    path = made.robomimic(tmp_path / "a.hdf5", raw=True)
    with h5py.File(path, "a") as file:
        plant(file["data/demo_1"], tmp_path)
    with rd.open_dataset(path) as dataset:
        assert len(dataset[0]["actions"]) == 5
        with pytest.raises(DataError, match="out") as caught:
            _ = dataset[1]
        assert (caught.value.file, caught.value.episode) == (str(path), "demo_1")
        assert caught.value.key == "out" or "link" in plant.__name__ or "soft" in plant.__name__
        assert [found.level for found in dataset.validate()].count("error") == 1
    (tmp_path / "other.hdf5").unlink()


def test_links_within_the_file_are_followed(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5", raw=True)
    with h5py.File(path, "a") as file:
        file["data/demo_1/again"] = h5py.SoftLink("../demo_1/actions".replace("../demo_1/", ""))
        file["data/demo_1/first"] = h5py.SoftLink("/data/demo_0/states")
    with rd.open_dataset(path) as dataset:
        np.testing.assert_array_equal(dataset[1]["again"].read(), dataset[1]["actions"].read())
        np.testing.assert_array_equal(dataset[1]["first"].read(), dataset[0]["states"].read())


def test_bombs_are_refused_before_they_go_off(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5", raw=True)
    with h5py.File(path, "a") as file:
        file["data/demo_0"].create_dataset("bomb", (1 << 20, 1 << 16), "f8", chunks=(1, 1 << 16), compression="gzip")
        file["data/demo_0"].create_dataset("crumbs", (1, 1 << 24), "u1", chunks=(1, 1), compression="gzip")
        file["data/demo_0"].create_dataset("rows", (1 << 24,), "?", chunks=(1,))
        lies = file["data/demo_0"].create_dataset("lies", (4, 8), "u1", chunks=(4, 8), compression="gzip")
        lies.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 24)))
    with rd.open_dataset(path, max_bytes=1 << 20) as dataset:
        with pytest.raises(DataError, match="over max_bytes=1048576"):
            dataset[0]["bomb"].read()
        assert not dataset[0]["bomb"].read([5, 2**20 - 1]).any()
        with pytest.raises(DataError, match="more than 1048576 chunks"):
            dataset[0]["crumbs"].read()
        with pytest.raises(DataError, match="more than 1048576 chunks"):
            dataset[0]["rows"].read()
        assert dataset[0]["rows"].read([1 << 23, 5]).tolist() == [False, False]
        with pytest.raises(DataError, match="does not unpack to 32 bytes"):
            dataset[0]["lies"].read()
    with rd.open_dataset(path) as dataset, pytest.raises(DataError, match="that a file of this size can hold"):
        dataset[0]["bomb"].read(slice(5000))


@pytest.mark.parametrize("single", [5, 2.5, np.float32(1), np.array(7, ">i2"), "text", b"bytes", True], ids=repr)
def test_a_single_value_is_no_stream(tmp_path, single):
    path = made.robomimic(tmp_path / "a.hdf5", raw=True)
    with h5py.File(path, "a") as file:
        file["data/demo_1/single"] = single
    with rd.open_dataset(path) as dataset:
        assert "single" not in dataset[1]
        assert dataset[1].meta["single"] == (single.decode() if isinstance(single, bytes) else single)
        assert not list(dataset.validate())


def test_text_is_read_and_damaged_text_refused(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5", (2, 2), raw=True)
    with h5py.File(path, "a") as file:
        file["data/demo_0/said"] = ["lift", "h\u00f6her"]
        file["data/demo_0/short"] = np.array([b"ab", b"c"])
        file["data/demo_1/short"] = np.array([b"\xff\xfe", b"c"])
    with rd.open_dataset(path) as dataset:
        assert dataset[0]["said"].read([1, 0]).tolist() == ["h\u00f6her", "lift"]
        assert dataset[0]["short"].read().tolist() == ["ab", "c"]
        with pytest.raises(DataError, match="utf-8") as caught:
            dataset[1]["short"].read()
        assert caught.value.key == "short"


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("value", [
    "text", "", ["a", "h\u00f6her", ""], b"fixed", np.array([b"ab", b"c"]), np.arange(3), 2.5, True, np.array([[1.5]]),
    "x" * 9999,
], ids=lambda value: repr(value)[:20])  # fmt: skip
def test_attributes_equal_h5py(tmp_path, value, libver):
    path = made.robomimic(tmp_path / "a.hdf5", raw=True, libver=libver)
    with h5py.File(path, "a", libver=libver) as file:
        file["data/demo_1"].attrs["odd"] = value
        expected = file["data/demo_1"].attrs["odd"]
    got = rd.open_dataset(path)[1].meta["odd"]
    decoded = [item.decode() if isinstance(item, bytes) else item for item in np.atleast_1d(expected).tolist()]
    assert np.atleast_1d(got).tolist() == decoded
    assert np.shape(got) == np.shape(expected)
