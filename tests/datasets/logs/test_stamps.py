"""Decimal text to nanoseconds, against Python's decimals."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from robocache.datasets.logs._stamps import UNITS, exact, from_numbers, guess_unit, to_nanoseconds

DIGITS = st.text("0123456789", max_size=11)
NUMBERS = st.builds(
    lambda sign, whole, part, power: f"{sign}{whole or '0'}{part}{power}",
    st.sampled_from(["", "-", "+"]),
    DIGITS,
    st.one_of(st.just(""), st.builds(lambda digits: "." + digits, st.text("0123456789", max_size=20))),
    st.sampled_from(["", "", "e+00", "e+09", "E3", "e-02", "e5"]),
)


def reference(text: str, unit: str) -> int:
    scaled = Decimal(text).scaleb(UNITS[unit], Context(prec=300))
    return int(scaled.to_integral_value(ROUND_HALF_EVEN))


@given(st.lists(NUMBERS, min_size=1, max_size=40), st.sampled_from(sorted(UNITS)))
@example(["1403715278.762142976", "1.403715278762142976e+09"], "s")
@example(["1.0000000005", "1.0000000015", "1.00000000150", "1.000000001500000000001", "0.9999999995"], "s")
@example(["9223372036854775807", "8999999999999999999"], "ns")
@example(["0.5", "1.5", "2.5", ".5", "5."], "ns")
def test_against_decimal(texts, unit):
    want = [reference(text, unit) for text in texts]
    if all(-(1 << 63) <= value < 1 << 63 for value in want) and max(map(len, texts)) < 64:
        got = to_nanoseconds(np.array(texts, "S"), unit)
        assert got.dtype == np.int64
        assert got.tolist() == want
    else:
        with pytest.raises(ValueError, match="64 bits"):
            to_nanoseconds(np.array(texts, "S"), unit)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=50))
def test_integers_and_how_savetxt_writes_them(stamps):
    assert to_nanoseconds(np.array([str(t) for t in stamps], "S"), "ns").tolist() == stamps
    seconds = [f"{t // 10**9}.{t % 10**9:09d}" for t in stamps]
    assert to_nanoseconds(np.array(seconds, "S"), "s").tolist() == stamps


@pytest.mark.parametrize("text", ["", "a", "1.2.3", "1e", "--1", "1_0", "0x10", "nan", "inf", "1e99", "9" * 30, "1 2",
                                  "1-2", "-", "1.-5", "1e5.5"])  # fmt: skip
@pytest.mark.parametrize("unit", ["s", "ns"])
def test_what_is_no_stamp(text, unit):
    for texts in ([text], ["1.5", text], [text] * 3, ["7"] * len(text) + [text]):
        with pytest.raises(ValueError, match=r"decimal|64 bits"):
            to_nanoseconds(np.array(texts, "S"), unit)


@given(st.floats(0, 4e9), st.sampled_from(["s", "ms", "us", "ns"]))
def test_stamps_that_are_floats(value, unit):
    want = int((Decimal(value) * 10 ** UNITS[unit]).to_integral_value(ROUND_HALF_EVEN))
    got = int(from_numbers(np.array([value]), unit)[0])
    assert abs(got - want) <= 1  # the fraction of a float is scaled in floats, which may tip a half
    assert from_numbers(np.array([int(value)]), unit)[0] == int(value) * 10 ** UNITS[unit]


def test_units_by_digits():
    told = {"1403715278.76": "s", "1403715278": "s", "1403715278762": "ms", "1403715278762142": "us",
            "1403715278762142976": "ns", "12": None, "1403715278762.5": None, "x": None, "1.4e9": "s"}  # fmt: skip
    assert {text: guess_unit(text) for text in told} == told
    assert exact("1403715278.762142976", "s") == 1403715278762142976
