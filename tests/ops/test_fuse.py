"""``fuse_multimodal`` against the oracle, stream by stream: any mix of types, rates, shapes, methods and latencies."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import trajectory as oracle
from strategies import FLOATS, GAPS, INTEGERS, bfloat16, fitting, generators, numbers, stamps, targets

import robocache as rc

LATENCIES = {
    "epoch_ns": (0, 1, -7, 999_983, 33_333_333),
    "epoch_s": (0, 0.013, -0.25),
    "relative_s": (0, 1e-9, 0.1),
    "relative_s_32": (0, 0.1, 1 / 64),
}


def joint(kinds: list[np.dtype]) -> np.dtype:
    """NumPy's common type; float32 (or 64 with wide company) where bfloat16 has none with the others."""
    result = kinds[0]
    for kind in kinds[1:]:
        try:
            result = np.promote_types(result, kind)
        except TypeError:
            half = [k for k in (result, kind) if k.itemsize > 2]
            result = np.dtype(np.float64 if half else np.float32)
    return result


def through(values: np.ndarray, source: np.dtype, result: np.dtype) -> np.ndarray:
    """Copies of samples in the joint type: integers to floats by way of float64, 16-bit floats by way of float32."""
    if source == result:
        return values
    wide = values.astype(np.float64) if result in FLOATS else values
    with np.errstate(over="ignore"):
        wide = wide.astype(np.float32) if result.itemsize == 2 and result in FLOATS else wide
        return wide.astype(result)


def judge(got: np.ndarray, row: oracle.Row, stream: Any, outside: Any, result: np.dtype) -> None:
    """One stream of one row."""
    source = stream.values.dtype
    assert got.dtype == result
    if stream.method != "linear":
        filled = row.values.astype(result) if result == source else through(row.values, source, result)
        unused = np.isnan(row.age) if row.age.dtype.kind == "f" else row.age == oracle.NAT
        if result in FLOATS and source not in FLOATS:
            filled[unused] = outside if not isinstance(outside, str) else np.nan
        assert tolerances.same_bits(got, filled)
        return
    table = tolerances.OUTSIDE_ULPS if outside == "extrapolate" else tolerances.ULPS
    most = table[result.name] if result in (source, np.float64) else 0.502  # blended in float64, rounded once
    assert tolerances.error_in_ulps(got, row.values, row.larger, result).max(initial=0) <= most


@st.composite
def fusions(draw: Any) -> tuple[dict[str, Any], np.ndarray, dict[str, Any], int]:
    """Streams of one kind of clock, a clock of their own, and options."""
    rng = draw(generators())
    clock, batch = draw(st.sampled_from(tuple(GAPS))), draw(st.integers(1, 3))
    streams = {}
    for k in range(draw(st.sampled_from((1, 2, 3, 5, 17, 33)))):
        dtype = FLOATS[rng.integers(0, 4)] if rng.random() < 0.6 else INTEGERS[rng.integers(0, len(INTEGERS))]
        feature = ((), (1,), (3,), (2, 4), (7,))[rng.integers(0, 5)]
        layout, samples = rng.integers(0, 4), (5, 6, 8, 9)[rng.integers(0, 4)]  # no other axis is as long
        more: dict[str, Any] = {}
        if layout == 0:  # shared by the batch
            times = stamps(rng, samples, clock)
            values = numbers(rng, (samples, *feature), dtype)
        elif layout == 1:
            counts = rng.integers(0, samples, batch)
            more["offsets"] = np.concatenate([[0], np.cumsum(counts)])
            times = np.concatenate([stamps(rng, int(n), clock) for n in counts])
            values = numbers(rng, (len(times), *feature), dtype)
        else:
            times = np.stack([stamps(rng, samples, clock) for _ in range(batch)])
            values = numbers(rng, (batch, samples, *feature), dtype)
            if layout == 3:
                more["lengths"] = rng.integers(0, samples + 1, batch)
        methods = fitting(dtype)
        limits = (None, *GAPS[clock])
        streams[f"s{k}"] = rc.Stream(
            values, times, method=methods[rng.integers(0, len(methods))],
            latency=LATENCIES[clock][rng.integers(0, len(LATENCIES[clock]))],
            tolerance=limits[rng.integers(0, len(limits))], max_gap=limits[rng.integers(0, len(limits))], **more,
        )  # fmt: skip
    goals = np.stack([targets(rng, stamps(rng, 8, clock), 5) for _ in range(batch)])
    goals = goals if rng.random() < 0.5 else goals[0]
    kinds = [stream.values.dtype for stream in streams.values()]
    outside = draw(st.sampled_from(("hold", "extrapolate", 1)))
    if all(kind in FLOATS for kind in kinds):
        outside = draw(st.sampled_from((outside, "nan")))
    return streams, goals, {"outside": outside, "layout": draw(st.sampled_from(("concat", "dict")))}, batch


def sent(backend: Any, streams: dict[str, Any]) -> dict[str, Any]:
    fields = ("values", "times", "lengths", "offsets")
    return {
        name: rc.Stream(**{f: backend.to(getattr(s, f)) if f in fields else getattr(s, f) for f in s.__dict__})
        for name, s in streams.items()
    }


def row_of(stream: Any, b: int) -> dict[str, Any]:
    """Arguments of the oracle for row b."""
    options = {f: getattr(stream, f) for f in ("method", "latency", "tolerance", "max_gap")}
    if stream.offsets is not None:
        cut = slice(stream.offsets[b], stream.offsets[b + 1])
        return {"values": stream.values[cut], "times": stream.times[cut], **options}
    shared = stream.times.ndim == 1
    n = None if stream.lengths is None else stream.lengths[b]
    values, times = (stream.values, stream.times) if shared else (stream.values[b], stream.times[b])
    return {"values": values[:n], "times": times[:n], **options}


@given(case=fusions())
def test_any_fusion_equals_the_oracle(backend: Any, case: Any) -> None:
    streams, goals, options, batch = case
    if all(s.times.ndim == 1 and s.offsets is None for s in streams.values()) and goals.ndim == 1:
        batch = 0  # nothing has a batch axis
    fused = rc.fuse_multimodal(sent(backend, streams), backend.to(goals), **options)
    kinds = [stream.values.dtype for stream in streams.values()]
    lead = (batch, goals.shape[-1]) if batch else (goals.shape[-1],)
    for k, (name, stream) in enumerate(streams.items()):
        result = joint(kinds) if options["layout"] == "concat" else kinds[k]
        got, valid, age = (backend.np(a) for a in (fused[name], fused.valid[..., k], fused.age[..., k]))
        feature = stream.values.shape[1 if stream.times.ndim == 1 or stream.offsets is not None else 2 :]
        assert got.shape == (*lead, *feature) if options["layout"] == "dict" else (*lead, int(np.prod(feature)))
        got, valid, age = got.reshape(max(batch, 1), lead[-1], -1), *(a.reshape(-1, lead[-1]) for a in (valid, age))
        for b in range(max(batch, 1)):
            fill = None if result not in FLOATS or not isinstance(options["outside"], str) else np.nan
            fill = None if kinds[k] not in FLOATS else fill
            q = goals[b] if goals.ndim == 2 else goals
            (row,) = oracle.fuse([row_of(stream, b)], q, options["outside"], fill)
            assert tolerances.same_bits(age[b], row.age), name
            judge(got[b], row, stream, options["outside"], result)
            assert tolerances.same_bits(valid[b], row.valid), name
    assert fused.names == tuple(streams)
    if backend.name == "cuda":
        again = rc.fuse_multimodal(sent(backend, streams), backend.to(goals), **options)
        for a, b in ((fused.valid, again.valid), (fused.age, again.age), (fused["s0"], again["s0"])):
            assert tolerances.same_bits(backend.np(a), backend.np(b))


@pytest.mark.parametrize("kinds, expected", [
    (["f2", "f2"], "f2"), (["f2", "f4"], "f4"), (["f4", "f8"], "f8"), (["f2", bfloat16], "f4"),
    ([bfloat16, bfloat16], bfloat16), ([bfloat16, "f4"], "f4"), ([bfloat16, "f8"], "f8"), (["i1", "u1"], "i2"),
    (["?", "u1"], "u1"), (["?", "?"], "?"), (["i4", "f4"], "f8"), (["i2", "f4"], "f4"), (["u1", "f2"], "f2"),
    (["i8", "u8"], "f8"), (["?", "f2"], "f2"),
], ids=str)  # fmt: skip
def test_promotion_in_concat(backend: Any, kinds: list[Any], expected: Any) -> None:
    times = backend.to(np.arange(3))
    streams = {
        f"s{k}": rc.Stream(backend.to(np.array([0, 1, 1]).astype(kind)), times, method="previous")
        for k, kind in enumerate(kinds)
    }
    fused = rc.fuse_multimodal(streams, backend.to(np.array([1, 0])))
    assert fused.values.dtype == np.dtype(expected)
    assert backend.np(fused.values).astype(float).tolist() == [[1.0] * len(kinds), [0.0] * len(kinds)]
    apart = rc.fuse_multimodal(streams, times, layout="dict")
    assert [array.dtype for array in apart.values.values()] == [np.dtype(kind) for kind in kinds]


@pytest.mark.parametrize("result", ["f2", "bf2", "f4", "f8"])
def test_a_wished_type_is_rounded_to_once(backend: Any, result: str) -> None:
    """float64 samples near one: differences that the result's type cannot hold must not be lost before blending."""
    kind = bfloat16 if result == "bf2" else np.dtype(result)
    rng = np.random.default_rng(8)
    times, goals = np.arange(50) * 1000, rng.integers(0, 49_000, 400)
    values = rng.standard_normal((50, 3))
    stream = rc.Stream(backend.to(values), backend.to(times))
    got = backend.np(rc.fuse_multimodal({"a": stream}, backend.to(goals), dtype=kind).values)
    row = oracle.resample_row(values, times, goals)
    assert got.dtype == kind
    size = row.larger if kind == np.float64 else np.abs(row.values)
    share = tolerances.error_in_ulps(got, row.values, size, kind)
    assert share.max() <= (tolerances.ULPS["float64"] if kind == np.float64 else 0.501)
    whole = rc.Stream(backend.to(2**53 - 1 - np.arange(3)), backend.to(np.arange(3)), method="next")
    kept = backend.np(rc.fuse_multimodal({"a": whole}, backend.to(np.arange(3)), dtype=kind).values)
    assert tolerances.same_bits(kept[:, 0], through(2**53 - 1 - np.arange(3), np.dtype("i8"), kind))


def test_slices_and_shapes(backend: Any) -> None:
    times = backend.to(np.arange(4))
    streams = {
        "image": rc.Stream(backend.to(np.zeros((2, 4, 5, 6, 3), np.uint8)), times, method="nearest"),
        "empty": rc.Stream(backend.to(np.zeros((2, 4, 0), np.float32)), times),
        "scalar": rc.Stream(backend.to(np.zeros(4, np.float32)), times),
    }
    goals = backend.to(np.tile(np.arange(3), (2, 1)))
    fused = rc.fuse_multimodal(streams, goals)
    assert fused.slices == {"image": slice(0, 90), "empty": slice(90, 90), "scalar": slice(90, 91)}
    assert fused.values.shape == (2, 3, 91)
    assert fused.valid.shape == fused.age.shape == (2, 3, 3)
    assert backend.np(fused.valid).all()
    assert fused.times is goals
    apart = rc.fuse_multimodal(streams, goals, layout="dict")
    assert [a.shape for a in apart.values.values()] == [(2, 3, 5, 6, 3), (2, 3, 0), (2, 3)]
