"""Normalising on the CPU."""

from typing import Any

import numpy as np

from .._core import dtypes
from ._half import narrow_bf16, narrow_f16, widen_bf16, widen_f16
from ._jit import kernel, split

RUN = 512  # features, repeated, that a loop goes over without a break


@kernel(inline=True)
def _forward(x, center, rest, scale, shift, gain, bias):
    y = (x - center) - rest
    return y + shift if scale < 0 else (y / scale) * gain + bias


@kernel(inline=True)
def _clipped(y, scale, low, high):
    y = low if y <= low and scale >= 0 else y
    return high if y > high and scale >= 0 else y


@kernel(inline=True)
def _back(x, center, rest, scale, shift, gain, bias):
    y = x - shift if scale < 0 else ((x - bias) / gain) * scale
    return (y + rest) + center


@kernel()
def _apply(start, stop, values, out, table, gain, bias, low, high, clipped, back):
    """Feature by feature: table [4, period]."""
    center, rest, scale, shift = table[0], table[1], table[2], table[3]
    f, i = start % table.shape[1], start
    while i < stop:
        n = min(stop - i, table.shape[1] - f)
        x, y = values[i : i + n], out[i : i + n]
        c, r, s, t = center[f : f + n], rest[f : f + n], scale[f : f + n], shift[f : f + n]
        if back:
            for k in range(n):
                y[k] = _back(x[k], c[k], r[k], s[k], t[k], gain, bias)
        elif clipped:
            for k in range(n):
                y[k] = _clipped(_forward(x[k], c[k], r[k], s[k], t[k], gain, bias), s[k], low, high)
        else:
            for k in range(n):
                y[k] = _forward(x[k], c[k], r[k], s[k], t[k], gain, bias)
        i, f = i + n, 0


@kernel()
def _apply_runs(start, stop, values, out, table, inner, gain, bias, low, high, clipped, back):
    """Elements of one feature lie together, ``inner`` of them."""
    f, left, i = (start // inner) % table.shape[1], inner - start % inner, start
    while i < stop:
        end = min(stop, i + left)
        c, r, s, t = table[0, f], table[1, f], table[2, f], table[3, f]
        for k in range(i, end):
            if back:
                out[k] = _back(values[k], c, r, s, t, gain, bias)
            else:
                y = _forward(values[k], c, r, s, t, gain, bias)
                out[k] = _clipped(y, s, low, high) if clipped else y
        i, left = end, inner
        f = f + 1 if f + 1 < table.shape[1] else 0


@kernel()
def _apply_half(start, stop, values, out, table, inner, gain, bias, low, high, clipped, back, brain):
    f, left = (start // inner) % table.shape[1], inner - start % inner
    for i in range(start, stop):
        x = widen_bf16(values[i]) if brain else widen_f16(values[i])
        c, r, s, t = table[0, f], table[1, f], table[2, f], table[3, f]
        if back:
            y = _back(x, c, r, s, t, gain, bias)
        else:
            y = _forward(x, c, r, s, t, gain, bias)
            y = _clipped(y, s, low, high) if clipped else y
        out[i] = narrow_bf16(y) if brain else narrow_f16(y)
        left -= 1
        if left == 0:
            left = inner
            f = f + 1 if f + 1 < table.shape[1] else 0


def apply(values: Any, out: Any, table: Any, inner: int, terms: tuple[float, ...], clip: Any, back: bool) -> None:
    """See robocache.ops.scaling.normalize."""
    real = table.dtype.type
    numbers = [real(number) for number in (*terms, *(clip or (0.0, 0.0)))]
    flat, to, columns = values.reshape(-1), out.reshape(-1), np.ascontiguousarray(table.T)
    how = (*numbers, clip is not None, back)
    if values.dtype in dtypes.HALF:
        brain, bits = values.dtype == dtypes.bfloat16, np.uint16
        split(_apply_half, flat.size, 2 * flat.nbytes, flat.view(bits), to.view(bits), columns, inner, *how, brain)
        return
    flat = flat.astype(real, copy=False)
    if inner > 1:
        split(_apply_runs, flat.size, flat.nbytes + to.nbytes, flat, to, columns, inner, *how)
        return
    repeated = np.tile(columns, (1, max(1, min(RUN, flat.size) // columns.shape[1])))
    split(_apply, flat.size, flat.nbytes + to.nbytes, flat, to, repeated, *how)
