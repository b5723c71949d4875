"""The walk over the wire against an encoder that is written for these tests alone."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets.rlds import _varints, _wire
from robocache.datasets.rlds._example import example, number_list, string_list

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)


def varint(value):
    value &= 2**64 - 1
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def part(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


# Fields that no message here knows, of every wire type, groups within groups included.
UNKNOWN = st.sampled_from(
    [
        varint(9 << 3) + varint(300), varint(9 << 3 | 1) + b"12345678", part(200, b"junk"),
        varint(9 << 3 | 5) + b"1234", varint(9 << 3 | 3) + part(1, b"in") + varint(8 << 3 | 3) + varint(8 << 3 | 4)
        + varint(9 << 3 | 4), b"",
    ]
)  # fmt: skip


@st.composite
def lists(draw):
    """Kind, values, and the bytes of their list, packed, unpacked or in pieces."""
    kind = draw(st.sampled_from([_wire.BYTES, _wire.FLOATS, _wire.INTEGERS]))
    values = draw(st.lists({1: st.binary(max_size=300), 2: FLOAT32, 3: INT64}[kind], max_size=8))
    body, rest = b"", list(values)
    while rest:
        body += draw(UNKNOWN)
        take = draw(st.integers(1, len(rest)))
        now, rest = rest[:take], rest[take:]
        if kind == _wire.BYTES:
            body += b"".join(part(1, value) for value in now)
        elif draw(st.booleans()):
            coded = [struct.pack("<f", value) if kind == _wire.FLOATS else varint(value) for value in now]
            body += part(1, b"".join(coded))
        elif kind == _wire.FLOATS:
            body += b"".join(varint(1 << 3 | 5) + struct.pack("<f", value) for value in now)
        else:
            body += b"".join(varint(1 << 3) + varint(value) for value in now)
    return kind, values, body + draw(UNKNOWN)


def read(data, feature):
    view = memoryview(data)
    if feature.kind == _wire.BYTES:
        return [bytes(view[at : at + n]) for at, n in _wire.byte_spans(view, feature).tolist()]
    if feature.kind == _wire.FLOATS:
        return _wire.floats(view, feature).tolist()
    return _wire.integers(view, feature).tolist() if feature.kind else []


@given(st.lists(st.tuples(st.text(max_size=5), lists()), max_size=6), st.data())
def test_every_form_of_an_example_is_understood(entries, data):
    record, want = b"", {}
    for key, (kind, values, body) in entries:
        feature = data.draw(UNKNOWN) + part(kind, body) + data.draw(UNKNOWN)
        coded = [part(1, key.encode()), part(2, feature)]
        if data.draw(st.booleans()):
            coded.reverse()
        record += data.draw(UNKNOWN) + part(1, part(1, b"".join(coded)))  # Features may come in pieces
        want[key] = kind, values  # of equal keys the last one counts
    found = _wire.features(memoryview(record))
    assert {key: (feature.kind, read(record, feature)) for key, feature in found.items()} == want
    counts = {key: _wire.count(memoryview(record), feature) for key, feature in found.items()}
    assert counts == {key: len(values) for key, (_, values) in want.items()}


@given(lists(), lists())
def test_lists_of_one_kind_are_joined_and_of_another_replaced(one, two):
    for first, second in ((one, two), (one, one)):
        feature = part(first[0], first[2]) + part(second[0], second[2])
        record = part(1, part(1, part(1, b"k") + part(2, feature)))
        found = _wire.features(memoryview(record))["k"]
        want = first[1] + second[1] if first[0] == second[0] else second[1]
        assert (found.kind, read(record, found)) == (second[0], want)


@given(st.binary(max_size=200))
def test_any_bytes_are_walked_or_refused(data):
    try:
        found = _wire.features(memoryview(data))
        for feature in found.values():
            _wire.count(memoryview(data), feature)
            read(data, feature)
    except _wire.Damaged:
        pass


@given(st.lists(INT64, max_size=50))
def test_varints_by_both_ways_and_back(values):
    data = b"".join(map(varint, values))
    assert _varints.packed(np.array(values, np.int64)) == data
    array = np.frombuffer(data, np.uint8)
    assert _varints.varints(array).tolist() == values
    assert _varints.count_varints(array) == len(values)
    found = np.empty(len(values), np.int64)
    assert _varints._loop()(array, found) == len(values)
    assert found.tolist() == values


def test_long_lists_are_decoded_by_machine_code():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 1 << 62, 400_000) >> rng.integers(0, 62, 400_000)
    values[::7] *= -1
    data = np.frombuffer(_varints.packed(values), np.uint8)
    assert data.size >= _varints.LONG
    assert np.array_equal(_varints.varints(data), values)
    bad = data.copy()
    bad[1000:1020] = 255
    with pytest.raises(_varints.Damaged, match="ten bytes"):
        _varints.varints(bad)


@pytest.mark.parametrize("data", [b"\x80", b"\xff" * 12 + b"\1", b"\1\x80"])
def test_damaged_varints_are_refused(data):
    with pytest.raises(_varints.Damaged):
        _varints.varints(np.frombuffer(data, np.uint8))


@pytest.mark.parametrize(
    "record",
    [
        b"\x0a\x7f", b"\x0a", b"\x00\x00", b"\x0e\x01", b"\x0b", b"\x0c", b"\x0a" + b"\xff" * 9 + b"\x01",
        part(1, part(1, part(1, b"\xff") + part(2, b""))),
    ],
)  # fmt: skip
def test_damaged_records_are_refused(record):
    with pytest.raises(_wire.Damaged):
        _wire.features(memoryview(record))


@given(
    st.dictionaries(st.text(max_size=4), st.lists(st.binary(max_size=200), max_size=5), max_size=4),
    st.dictionaries(st.text(min_size=5, max_size=6), st.lists(INT64, max_size=40), max_size=4),
)
def test_what_the_writer_encodes_is_what_was_given(strings, numbers):
    coded = {key: string_list(values) for key, values in strings.items()}
    coded |= {key: number_list(np.array(values, np.int64)) for key, values in numbers.items()}
    record = example(coded)
    found = _wire.features(memoryview(record))
    assert {key: read(record, feature) for key, feature in found.items()} == strings | numbers
