"""Kinds of features that the small fixture has not: sequences in sequences, videos, images of any size, bytes.

``kinds.zip`` was written by tensorflow-datasets 4.9 and holds what TensorFlow reads: an entry for every array or
string, with its place in lists after a bar, and the lengths of lists under names that end in ``#``. Floats of bfloat16
are there as float32.
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest

import robocache.datasets as rd


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    with zipfile.ZipFile(Path(__file__).with_name("kinds.zip")) as packed:
        packed.extractall(folder)
    return folder


def flat(key, value, found):
    """Add a value to ``found`` as the reference has it."""
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object):
        found[f"{key}#"] = np.asarray(len(value))
        for at, part in enumerate(value):
            flat(f"{key}|{at}", part, found)
    elif isinstance(value, (str, bytes)):
        found[key] = np.frombuffer(value.encode() if isinstance(value, str) else value, np.uint8)
    else:
        array = np.asarray(value)
        found[key] = array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def test_every_kind_equals_tfds(kinds):
    dataset, found = rd.open_dataset(kinds), {}
    assert list(dataset.validate()) == []
    for at, episode in enumerate(dataset):
        for name, stream in episode.items():
            for step, value in enumerate(stream.read()):
                flat(f"{at}|steps/{name}|{step}", value, found)
        for name, value in episode.meta.items():
            flat(f"{at}|{name}", value, found)
    with np.load(kinds / "tfds_reference.npz") as reference:
        assert set(found) == set(reference.files)
        for key, got in found.items():
            want = reference[key]
            assert (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes()), key
        assert sum(value.size for value in found.values()) == 1902


def test_what_is_optional_may_be_absent(kinds):
    dataset = rd.open_dataset(kinds)
    assert ["opt" in episode.meta for episode in dataset] == [True, False, True]
    assert dataset.meta["labels"] == {"lab": ("x", "y", "z")}
    assert dataset[0].language == (rd.Span(0, 4, "do it", None, "natural_language_instruction"),)
    assert dataset.specs["str"].kind == "event"
    assert dataset[0]["str"].read(0).tolist() == [b"a\0\0", b"\xff"]  # not cut at the zeros
    assert dataset[0]["any"].read(2).shape == (4, 5, 3)
