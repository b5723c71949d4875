"""Small pictures are what the camera gave, and their PNG is what another library reads."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robocache.view.thumbnails import png, thumbnail


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_png(picture: Any) -> None:
    image = pytest.importorskip("PIL.Image")
    assert np.array_equal(np.asarray(image.open(io.BytesIO(png(picture)))), picture)


def test_thumbnails_are_means_of_blocks() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (11, 7, 3), np.uint8)
    found = thumbnail(picture, "image", 4)
    expected = picture[:9, :6].astype(int).reshape(3, 3, 2, 3, 3).sum(axis=(1, 3)) / 9
    assert np.abs(found - expected).max() <= 0.5
    assert thumbnail(np.zeros((5000, 1, 3), np.uint8), "image", 10).shape == (10, 1, 3)
