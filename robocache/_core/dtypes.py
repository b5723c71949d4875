"""The element types RoboCache knows, and what each is called in NumPy, on the CPU and in CUDA."""

import ml_dtypes
import numpy as np

bfloat16 = np.dtype(ml_dtypes.bfloat16)
float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
uint16 = np.dtype(np.uint16)
boolean = np.dtype(np.bool_)

HALF = frozenset({float16, bfloat16})
FLOATING = frozenset({float16, bfloat16, float32, float64})
INTEGER = frozenset(np.dtype(c) for c in "bBhHiIlLqQ")
VALUES = FLOATING | INTEGER | {boolean}
TIMES = frozenset({int64, float64, float32})

# numpy dtype -> type name in common.cuh. Half types travel as structs of 16 bits, so no CUDA header is needed.
CUDA_NAME = {
    float16: "f16",
    bfloat16: "bf16",
    float32: "float",
    float64: "double",
    boolean: "u8",
    np.dtype(np.int8): "i8",
    np.dtype(np.uint8): "u8",
    np.dtype(np.int16): "i16",
    np.dtype(np.uint16): "u16",
    np.dtype(np.int32): "i32",
    np.dtype(np.uint32): "u32",
    np.dtype(np.int64): "i64",
    np.dtype(np.uint64): "u64",
}


def accumulator(dtype: np.dtype) -> np.dtype:
    """Type in which arithmetic on ``dtype`` is done: float64 for itself, float32 for the rest."""
    return float64 if dtype == float64 else float32


def scaled(dtype: np.dtype) -> np.dtype:
    """Type of normalised values: floats stay what they are, integers become the float that holds them (or nearly)."""
    if dtype in FLOATING:
        return dtype
    return float32 if dtype.itemsize <= 2 else float64


def promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """NumPy's common type; float32 or float64 where it has none because bfloat16 is involved."""
    try:
        return np.promote_types(a, b)
    except TypeError:
        wide = any(d not in HALF and d.itemsize > 2 for d in (a, b))
        return float64 if wide else float32


def names(dtypes: frozenset[np.dtype]) -> str:
    """Sorted, readable list for error messages."""
    return ", ".join(sorted(str(d) for d in dtypes))
