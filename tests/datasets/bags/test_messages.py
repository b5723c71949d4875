"""Messages that change their shape or joints; layouts against rosbags; definitions that cannot be."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets import open_dataset
from robocache.datasets.bags._layout import Decoder, column, groups
from robocache.datasets.bags._types import parse, shipped, sizes
from robocache.errors import DataError


def joints(bags: Any, names: list[str], **given: Any) -> Any:
    fields = {"position": np.arange(len(names), dtype=float), "velocity": np.zeros(0), "effort": np.zeros(0)}
    return bags["message"](
        bags["store"]("mcap"), "sensor_msgs/msg/JointState", np.random.default_rng(0), name=names, **fields | given
    )


def opened(bags: Any, path: Any, type: str, messages: list[Any], **options: Any) -> Any:
    rows = [(1000 + k, message) for k, message in enumerate(messages)]
    return open_dataset(bags["write"](path, "mcap", {"/c": (type, rows)}), **options)


def test_joints_in_another_order_are_brought_back_by_name(bags, tmp_path):
    orders = [["a", "bb", "c"], ["c", "a", "bb"], ["a", "bb", "c"], ["bb", "extra", "c", "a"]]
    with opened(bags, tmp_path / "bag", "sensor_msgs/msg/JointState", [joints(bags, n) for n in orders]) as dataset:
        stream = dataset[0]["/c/position"]
        assert stream.read().tolist() == [[names.index(name) for name in orders[0]] for names in orders]
        assert "/c/velocity" not in dataset[0]
        assert dataset[0].meta["topics"]["/c"]["omitted"] == ["velocity", "effort"]


@pytest.mark.parametrize("other", [["a", "x"], ["a"], ["a", "a"], ["b", "b", "a"]])
def test_other_joints_are_never_mixed_in(bags, tmp_path, other):
    made = [joints(bags, ["a", "b"]), joints(bags, other)]
    with opened(bags, tmp_path / "bag", "sensor_msgs/msg/JointState", made) as dataset:
        with pytest.raises(DataError, match="the first has the joints"):
            dataset[0]["/c/position"].read()
        assert dataset[0]["/c/position"].read(0).tolist() == [0, 1]


def test_positions_without_joints(bags, tmp_path):
    made = [joints(bags, ["a", "b"]), joints(bags, ["a", "b"], position=np.zeros(0))]
    with opened(bags, tmp_path / "bag", "sensor_msgs/msg/JointState", made) as dataset:
        stream = dataset[0]["/c/position"]
        with pytest.raises(DataError, match="0 numbers for 2 joints"):
            stream.read()


def test_arrays_of_changing_length(bags, tmp_path):
    name, store = "std_msgs/msg/Float64MultiArray", bags["store"]("mcap")
    rng = np.random.default_rng(0)
    made = [bags["message"](store, name, rng, data=np.arange(n, dtype=float)) for n in (3, 3, 2, 0, 5)]
    with opened(bags, tmp_path / "bag", name, made) as dataset:
        assert dataset[0]["/c/data"].read(slice(0, 2)).tolist() == [[0, 1, 2]] * 2
        with pytest.raises(DataError, match="ragged"):
            dataset[0]["/c/data"].read()
    with open_dataset(tmp_path / "bag", ragged=["/c/data"]) as dataset:
        assert [array.tolist() for array in dataset[0]["/c/data"].read()] == [m.data.tolist() for m in made]


@given(seed=st.integers(0, 2**32 - 1), ros1=st.booleans(), data=st.data())
def test_layouts_agree_with_rosbags(bags, seed, ros1, data):
    store = bags["store"]("ros1" if ros1 else "mcap")
    known = shipped("noetic" if ros1 else "humble")
    name = data.draw(st.sampled_from(sorted(store.fielddefs)))
    plain = name.replace("/msg/", "/")
    if "wstring" in str(store.fielddefs[name]) or plain.startswith("builtin_interfaces"):
        return
    message = bags["message"](store, name, np.random.default_rng(seed))
    raw = bytes(store.serialize_ros1(message, name) if ros1 else store.serialize_cdr(message, name))
    decoder = Decoder(known, plain, not ros1)
    layout = decoder.layout(raw)
    block = np.frombuffer(raw, np.uint8)[None]
    for path, leaf in layout.leaves.items():
        want = eval(f"message.{path}", {"message": message})
        if leaf.code == "str":
            assert raw[leaf.offset : leaf.offset + leaf.length].decode() == want
        else:
            got = column(block, leaf, layout.little)[0]
            assert np.asarray(got).tobytes() == np.asarray(want, got.dtype).tobytes()
    cut = int(np.random.default_rng(seed).integers(0, len(raw) + 1))
    end = max((layout.stop(path) for path in layout.leaves), default=0)
    if cut < end:
        with pytest.raises(ValueError, match=r"wanted|announced|header"):
            decoder.layout(raw[:cut])


@given(st.lists(st.sampled_from(["", "a", "bb", "äö", "ccc"]), min_size=1, max_size=30), st.integers(0, 99))
def test_columns_of_messages_that_are_laid_out_differently(bags, frames, seed):
    store, name = bags["store"]("mcap"), "geometry_msgs/msg/PointStamped"
    rng, made = np.random.default_rng(seed), []
    for frame in frames:
        stamp = store.types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
        header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)
        made.append(bags["message"](store, name, rng, header=header))
    payloads = [bytes(store.serialize_cdr(message, name)) for message in made]
    decoder = Decoder(shipped("humble"), "geometry_msgs/PointStamped", True)
    got = np.full(len(made), np.nan)
    for rows, layout, block in groups(decoder, payloads, ["point.y"]):
        assert np.isnan(got[rows]).all()
        got[rows] = column(block, layout.leaves["point.y"], layout.little)
    assert got.tolist() == [message.point.y for message in made]


@pytest.mark.parametrize("text", [
    "A a", "pkg/B b\n================================\nMSG: pkg/B\npkg/B[3] again", "wstring s", "float64", "int32 a b",
    "???", "uint8 a\nuint8 a", "x" * (1 << 21),
])  # fmt: skip
def test_definitions_that_cannot_be(text):
    if text == "int32 a b":  # a default value
        assert parse(text, "pkg/T", False)["pkg/T"][0].name == "a"
        return
    with pytest.raises(ValueError, match=r"."):
        sizes(parse(text, "pkg/T", False), "pkg/T")


def test_a_type_of_enormous_size_asks_for_no_more_than_there_is():
    text = "B[4000000000] b\n" + "=" * 80 + "\nMSG: pkg/B\nC[4000000000] c\n" + "=" * 80 + "\nMSG: pkg/C\nuint8 x"
    for cdr in (False, True):
        with pytest.raises(ValueError, match="announced"):
            Decoder(parse(text, "pkg/T", not cdr), "pkg/T", cdr).layout(b"\0\1\0\0" + bytes(100))
    empty = "B[4000000000] b\nB[] more\nuint8 x\n" + "=" * 80 + "\nMSG: pkg/B\n"
    layout = Decoder(parse(empty, "pkg/T", True), "pkg/T", False).layout(b"\xff\xff\xff\xff\x07")
    assert layout.leaves["x"].offset == 4
