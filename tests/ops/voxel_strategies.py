"""Clouds and features that meet every edge (cell borders, NaN, infinities, subnormals), and how to compare."""

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from robocache.ops.voxel import voxelize

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
POINT_TYPES = (np.float16, BFLOAT16, np.float32, np.float64)
FEATURE_TYPES = (*POINT_TYPES, np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32)
SIZES = ((0.5, 0.5, 0.5), (0.1, 0.25, 0.3), (1.0, 0.05, 7.0))


def bits(array):
    """The memory of an array, so that NaN and signed zeros compare."""
    array = np.ascontiguousarray(array)
    return array.shape, str(array.dtype), array.tobytes()


@st.composite
def coordinates(draw, dtype, size):
    """One coordinate: a multiple of the voxel size or its neighbour, a special value, or any small number."""
    way = draw(st.integers(0, 9))
    if way < 4:
        real = np.float64 if dtype == np.float64 else np.float32
        edge = np.asarray(real(draw(st.integers(-6, 6))) * real(size), real)
        toward = draw(st.sampled_from((0, -np.inf, np.inf)))
        return np.nextafter(edge, real(toward)) if toward else edge
    if way == 4:
        return draw(st.sampled_from((np.nan, np.inf, -np.inf, -0.0, 1e-40, -1e-40, -5e-324, 3e9, -3e9, 1e30)))
    return draw(st.floats(-4, 4, width=16))


@st.composite
def clouds(draw, dtypes=POINT_TYPES, most=30, channels=3):
    """Points [N, channels] and the voxel size they were made for."""
    dtype = draw(st.sampled_from(dtypes))
    size = draw(st.sampled_from(SIZES))
    count = draw(st.integers(0, most))
    rows = [[draw(coordinates(dtype, size[c % 3])) for c in range(channels)] for _ in range(count)]
    with np.errstate(over="ignore"):
        return np.array(rows, np.float64).reshape(count, channels).astype(np.float64).astype(dtype), size


@st.composite
def features(draw, count, dtypes=FEATURE_TYPES):
    """Features [count, 2] with special values among the floats."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    if dtype == np.bool_:
        values = st.booleans()
    elif dtype.kind in "iu":
        values = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    else:
        special = st.sampled_from((np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 5e-324, 6e4, 3e38, 1e308))
        values = st.one_of(st.floats(-100, 100), st.floats(-1, 1, width=16), special)
    with np.errstate(over="ignore"):
        return (
            np.array([[draw(values), draw(values)] for _ in range(count)], None if count else dtype)
            .reshape(count, 2)
            .astype(dtype)
        )


FIELDS = ("coords", "counts", "inverse", "offsets", "dropped")


def run(backend, points, features=None, **options):
    """voxelize on a backend, everything back in NumPy."""
    extents = {name: backend.to(options.pop(name)) for name in ("lengths", "offsets") if name in options}
    found = voxelize(backend.to(points), None if features is None else backend.to(features), **extents, **options)
    arrays = {name: backend.np(getattr(found, name)) for name in (*FIELDS, "num_voxels", "found")}
    many = isinstance(found.features, dict)
    back = {k: backend.np(v) for k, v in found.features.items()} if many else backend.np(found.features)
    return {**arrays, "features": back}


def agree(got, want, leading=None):
    """Every field equal, bit for bit."""
    for name in (*FIELDS, "features"):
        expected = want[name]
        if name == "inverse" and leading is not None:
            expected = expected.reshape(leading)
        if name == "dropped":
            expected = expected.reshape(got[name].shape)
        assert bits(got[name]) == bits(expected), name
    assert got["num_voxels"] == got["found"] == len(want["coords"])


def cloud(seed, count, dtype=np.float32, spread=4.0):
    """Uniform points."""
    return (np.random.default_rng(seed).uniform(-spread, spread, (count, 3))).astype(dtype)
