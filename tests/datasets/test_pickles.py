"""The restricted unpickler: equal to `pickle` on plain values and arrays, and nothing else gets through."""

import collections
import os
import pickle
import random
import struct
import subprocess
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robocache.datasets._pickles import loads
from robocache.errors import DataError


def same(a, b):
    """Equal to the bit, types and order included."""
    assert type(a) is type(b), (type(a), type(b))
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.flags.f_contiguous == b.flags.f_contiguous
        if a.dtype == object:
            for x, y in zip(a.reshape(-1).tolist(), b.reshape(-1).tolist()):
                same(x, y)
        else:
            assert a.tobytes() == b.tobytes()
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif isinstance(a, float | np.floating):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    else:
        assert a == b


VALUE = {
    "matrix": np.arange(6.0).reshape(2, 3), "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "list": [1, -2.5, "x", b"y", None, True, (1, 2), {3, 4}, frozenset({5}), -(10**30), 1 + 2j, bytearray(b"12")],
    "unicode": np.array(["ab", "\u00e9\U0001f600"]), "bytes": np.array([b"a"]), "big": np.arange(3, dtype=">i2"),
    "objects": np.array([{"k": 1}, "t", None], object), "dict": np.array({"x": [1]}, object),
    "empty": np.zeros((0, 3)), "bools": np.array([True, False]), "half": np.arange(3, dtype=np.float16),
    "scalars": [np.float32(2.5), np.int64(3), np.bool_(True), np.float64("nan")], ("a", 1): "tuple key", 7: {},
    "shared": [[1]] * 3, "quotes": "it's \"so\"\n\\",
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("home", [b"numpy._core", b"numpy.core"])
def test_equals_pickle(protocol, home):
    data = pickle.dumps(VALUE, protocol)
    if protocol < 4:  # later ones say how long the name is
        data = data.replace(b"numpy._core", home)
    same(pickle.loads(data), loads(data))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | hnp.arrays(
        st.sampled_from("?bBhHiIqQefdFD").map(np.dtype),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    | st.tuples(inner, inner),
    max_leaves=12,
)  # fmt: skip


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_equals_pickle_on_any_plain_value(value, protocol):
    data = pickle.dumps(value, protocol)
    same(pickle.loads(data), loads(data))


def test_text_and_arrays_of_python_2():
    text = b"(dp0\nS'a\\x00\\n'\np1\nL5L\nsS'b'\nI01\ns."
    assert loads(text) == {"a\0\n": 5, "b": True}
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n(S'i2'\nI0\nI1\n"
        b"tR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x01\\x00\\xff\\x7f'\ntb."
    )
    same(loads(array), np.array([1, 32767], "<i2"))
    same(loads(array), pickle.loads(array, encoding="latin1"))


class Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


MARKED = []


@pytest.mark.parametrize(
    "value, named",
    [
        (Evil(os.system, "true"), "system"),
        (Evil(eval, "1"), "eval"),
        (Evil(getattr, MARKED, "append"), "getattr"),
        (Evil(subprocess.Popen, ["true"]), "Popen"),
        (Evil(np.load, "x"), "load"),
        (Evil(np.lib.format.open_memmap, "x"), "open_memmap"),
        (collections.OrderedDict(a=1), "OrderedDict"),
        (np.random.default_rng(0), "numpy"),
        (np.ma.zeros(3), "numpy.ma"),
        (open, "open"),
        (print, "print"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_globals_are_refused_by_name(value, named, protocol):
    with pytest.raises(DataError, match=f"global '.*{named}.*' is not allowed"):
        loads(pickle.dumps({"a": value}, protocol))


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(2, [("a", "i4")]), np.array(["2020"], "M8[D]"), np.zeros(1, np.longdouble), np.dtype("f4"), np.ndarray,
        {1.5: 0}, {2**70: 0}, {((1,),): 0}, {(1,) * 99: 0}, np.zeros(2).view(np.matrix),
    ],
    ids=str,
)  # fmt: skip
def test_what_no_log_holds_is_refused(value):
    with pytest.raises(DataError):
        loads(pickle.dumps(value))


def frame(code, form, length, rest=b""):
    return b"\x80\x04" + code + struct.pack(form, length) + rest + b"."


def laughs(code, levels=60):
    """A container that holds the one before twice, many times over."""
    step = {"tuple": b"\x86", "list": b"l"}[code]
    body = b")" if code == "tuple" else b"]"
    for level in range(levels):
        index = struct.pack("<I", level)
        pair = b"j" + index
        body += b"r" + index + b"0" + (b"" if code == "tuple" else b"(") + pair + pair + step
    return b"\x80\x04" + body + b"."


def array_of(shape, dtype="f8", data=b"", state=None):
    """A protocol 2 array, with any state."""
    value = pickle.dumps(state if state is not None else (1, shape, "DTYPE", False, data), 2)[2:-1]
    made = b"cnumpy\ndtype\n(U" + bytes([len(dtype)]) + dtype.encode() + b"I0\nI1\ntR"
    value = value.replace(pickle.dumps("DTYPE", 2)[2:-3], made)
    return b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR" + value + b"b."


HOSTILE = {
    "long text": frame(b"\x8d", "<Q", 2**62),
    "long bytes": frame(b"\x8e", "<Q", 2**63 - 1),
    "long bytearray": frame(b"\x96", "<Q", 2**40),
    "long long": frame(b"\x8b", "<i", 2**31 - 1),
    "negative long": frame(b"\x8b", "<i", -5),
    "negative text": frame(b"T", "<i", -1),
    "long frame": frame(b"\x95", "<Q", 2**60),
    "memo far away": b"\x80\x04Nr\xff\xff\xff\xff0j\xfe\xff\xff\xff.",
    "memo that is not there": b"h\x05.",
    "tuples that laugh": laughs("tuple"),
    "lists that laugh": laughs("list"),
    "deep tuples": b"\x80\x04)" + b"\x85" * 20_000 + b".",
    "deep lists": b"\x80\x04" + b"]" * 9999 + b"a" * 9998 + b".",
    "itself": b"\x80\x04]\x94h\x00a.",
    "giant array": array_of((2**40, 2**20)),
    "negative shape": array_of((-1, -8)),
    "empty giant": array_of((0, 2**61, 2**61)),
    "short array": array_of((3,), data=b"1234"),
    "objects of bytes": array_of((1,), "O8", b"\0" * 8),
    "many objects": array_of((9,), "O8", [1]),
    "deep array": array_of((1,) * 40, data=b"\0" * 8),
    "empty text": array_of((10**12,), "U0"),
    "wrong characters": array_of((1,), "U1", b"\xff\xff\xff\xff"),
    "void": array_of((1,), "V8", b"\0" * 8),
    "array without state": b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR.",
    "state of a list": b"\x80\x02]}b.",
    "inst": b"(ios\nsystem\n.",
    "obj": b"\x80\x02(cos\nsystem\no.",
    "persistent": b"Pabc\n.",
    "extension": b"\x82\x01.",
    "newobj": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "buffer": b"\x80\x05\x97.",
    "no stop": b"\x80\x04N",
    "nothing": b"",
    "two values": b"NN.",
    "only a mark": b"(.",
    "stack": b"0.",
    "mark": b"t.",
    "append": b"Na.",
    "odd pairs": b"}(Nu.",
    "bad text": b"\x8c\x01\xff.",
    "bad int": b"Ixyz\n.",
    "bad float": b"Fxyz\n.",
    "digits": b"L" + b"9" * 100_000 + b"L\n.",
    "protocol": b"\x80\x09N.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused_with_little_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"x\.pkl, episode 3: is no pickle that may be read"):
            loads(HOSTILE[name], file="x.pkl", episode=3)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_bytes_are_not_copied_without_end():
    """A megabyte that is made into an array again and again from the memo."""
    made = b"cnumpy._core.numeric\n_frombuffer\n(h\x00cnumpy\ndtype\n(U\x02u1I0\nI1\ntRJ\x00\x00\x10\x00\x85U\x01CtR0"
    data = b"\x80\x02B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"q\x00" + made * 10_000 + b"."
    with pytest.raises(DataError, match="copies the same bytes"):
        loads(data)


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_damage_gives_nothing_but_data_errors(protocol):
    base, rng = pickle.dumps(VALUE, protocol), random.Random(protocol)
    refused = 0
    for _ in range(500):
        data = bytearray(base)
        for _ in range(rng.choice((1, 1, 3))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            loads(bytes(data))
        except DataError:
            refused += 1
    assert refused > 120
    for cut in range(0, len(base) - 1, 7):
        with pytest.raises(DataError):
            loads(base[:cut])


@given(st.binary(max_size=300))
def test_noise_gives_nothing_but_data_errors(data):
    try:
        loads(data)
    except DataError:
        return
