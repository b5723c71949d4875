"""Pictures of a batch: decoded once, brought to one size, laid out and scaled, as Pillow and plain arithmetic do it."""

import io
import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.arrays import Arrays, jpeg, png
from PIL import Image

import robocache as rc
from robocache.datasets import StreamSpec
from robocache.datasets._images import decode_image
from robocache.errors import ArgumentError, DataError

STEPS = 11


def scene(seed: int, height: int, width: int, channels: int = 3) -> Any:
    """Something smooth, so that two ways of making it smaller may be compared, with noise on top."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x * rng.uniform(1, 3) / width + y * rng.uniform(1, 3) / height) * 3) for _ in range(channels)]
    noisy = np.stack(waves, -1) * 90 + 128 + rng.normal(size=(height, width, channels)) * 4
    found = np.clip(noisy, 0, 255).astype(np.uint8)
    return found if channels > 1 else found[..., 0]


def pictured(kind: str, height: int = 12, width: int = 20, channels: int = 3) -> tuple[Arrays, Any]:
    """A source with a camera, and what its pictures are."""
    plain = np.stack([scene(k, height, width, channels) for k in range(STEPS)])
    if kind == "array":
        plain = plain if channels > 1 else plain[..., None]
        return Arrays([5, 6], {"cam": plain}), plain
    stored = [(png if kind == "png" else jpeg)(one) for one in plain]
    source = Arrays([5, 6], {"cam": stored}, codec=kind, shapes={"cam": (height, width, channels)})
    return source, np.stack([decode_image(one, channels) for one in stored])


def batches(source: Arrays, options: Any, **more: Any) -> Any:
    given = {} if options is None else {"cam": options}
    with rc.DataLoader(source, **{"batch_size": 4, "n_obs": 2, "action": [], "images": given, **more}) as loader:
        yield from loader


def steps(batch: Any) -> Any:
    low = np.array([0, 5])[batch.episode]
    return np.stack([np.maximum(batch.anchor - 1, low), batch.anchor], 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["array", "png", "jpeg"])
def test_pictures_are_what_was_stored(kind: str, channels: int) -> None:
    source, plain = pictured(kind, channels=channels)
    seen = 0
    for batch in batches(source, None):
        assert batch["cam"].dtype == np.uint8
        assert (batch["cam"] == plain[steps(batch)]).all()
        seen += batch.size
    assert seen == 8
    for batch in batches(source, rc.ImageOptions(layout="chw")):
        assert batch["cam"].flags.c_contiguous
        assert (batch["cam"] == plain[steps(batch)].transpose(0, 1, 4, 2, 3)).all()


@given(st.sampled_from(["array", "png", "jpeg"]), st.sampled_from([1, 3]), st.integers(1, 30), st.integers(1, 30),
       st.sampled_from(["bilinear", "box", "nearest", None]), st.booleans())  # fmt: skip
def test_pictures_are_resized_as_by_pillow(kind: str, channels: int, height: int, width: int, way: Any, chw: bool
                                           ) -> None:  # fmt: skip
    source, plain = pictured(kind, channels=channels)
    options = rc.ImageOptions(resize=(height, width), filter=way, layout="chw" if chw else "hwc", scaled_decode=False)
    method = Image.Resampling[(way or "bilinear").upper()]
    for batch in batches(source, options):
        found = batch["cam"].transpose(0, 1, 3, 4, 2) if chw else batch["cam"]
        for got, step in zip(found.reshape(-1, height, width, channels), steps(batch).ravel()):
            if way == "nearest":  # Pillow's own rounding decides between two that are equally near
                rows, columns = ([math.floor(Fraction(2 * k + 1, 2 * n) * have) for k in range(n)]
                                 for n, have in ((height, 12), (width, 20)))  # fmt: skip
                expected = plain[step][rows][:, columns]
            else:
                image = Image.fromarray(plain[step] if channels > 1 else plain[step][..., 0])
                expected = np.asarray(image.resize((width, height), method)).reshape(height, width, channels)
            assert (got == expected).all()


def test_scaled_decoding_is_close_and_can_be_refused() -> None:
    source, _ = pictured("jpeg", 96, 160)
    exact, scaled = (
        np.concatenate([batch["cam"] for batch in batches(source, rc.ImageOptions((12, 20), scaled_decode=scaled))])
        for scaled in (False, True)
    )
    apart = np.abs(exact.astype(int) - scaled)
    assert apart.any()
    assert apart.max() <= 16  # noise and steep places; another channel or row would be tens apart on average
    assert apart.mean() < 2
    barely = rc.ImageOptions((49, 81))  # more than half: decoded whole
    expected = rc.ImageOptions((49, 81), scaled_decode=False)
    for one, other in zip(batches(source, barely), batches(source, expected)):
        assert (one["cam"] == other["cam"]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("scaled", [False, True])
def test_scaled_as_by_arithmetic(dtype: Any, layout: str, scaled: bool) -> None:
    source, plain = pictured("png")
    mean, std = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if scaled else (None, None)
    options = rc.ImageOptions(dtype=dtype, layout=layout, mean=mean, std=std)
    for batch in batches(source, options):
        assert batch["cam"].dtype == dtype
        found = batch["cam"].astype(np.float64)
        found = found.transpose(0, 1, 3, 4, 2) if layout == "chw" else found
        expected = plain[steps(batch)] / 255.0
        if scaled:
            expected = (expected - mean) / std
        bits = {np.float32: 22, np.float16: 10, ml_dtypes.bfloat16: 7}[dtype]
        np.testing.assert_allclose(found, expected, rtol=2.0**-bits, atol=2.0**-22)
        if not scaled and dtype == np.float32:
            assert (found == expected.astype(np.float32)).all()


def test_depth_keeps_its_numbers() -> None:
    depth = np.random.default_rng(0).integers(0, 60000, (STEPS, 6, 8)).astype(np.uint16)
    source = Arrays([5, 6], {"cam": [png(one) for one in depth]}, shapes={"cam": (6, 8)})
    source.streams["cam"] = StreamSpec("cam", "depth", (6, 8), np.dtype(np.uint16), codec="png")
    for batch in batches(source, None):
        assert batch["cam"].dtype == np.uint16
        assert (batch["cam"] == depth[steps(batch)]).all()
    for batch in batches(source, rc.ImageOptions(resize=(3, 4), dtype="float32")):
        assert batch["cam"].dtype == np.float32
        assert (batch["cam"] == depth[:, 1::2, 1::2][steps(batch)]).all()
    for wrong, said in (
        (rc.ImageOptions((3, 4), filter="bilinear"), "nearest"),
        (rc.ImageOptions(layout="chw"), "no ch"),
    ):
        with pytest.raises(ArgumentError, match=said):
            list(batches(source, wrong))


def test_pictures_of_many_sizes_need_one() -> None:
    plain = [scene(k, 8 + k, 9 + 2 * k) for k in range(STEPS)]
    source = Arrays([5, 6], {"cam": [png(one) for one in plain]}, shapes={"cam": (None, None, 3)})
    with pytest.raises(ArgumentError, match="differ in size; give resize"):
        list(batches(source, None))
    for batch in batches(source, rc.ImageOptions((7, 5))):
        for i, step in enumerate(batch.anchor):
            expected = Image.fromarray(plain[step]).resize((5, 7), Image.Resampling.BILINEAR)
            assert (batch["cam"][i, 1] == np.asarray(expected)).all()
    source.streams["cam"] = StreamSpec("cam", "image", (8, 9, 3), np.dtype(np.uint8), codec="png")
    with pytest.raises(DataError, match="announced as"):
        list(batches(source, None))


def test_each_picture_is_decoded_once_a_batch() -> None:
    class Counted(Arrays):
        asked: Any = ()

        def encoded(self, name: str, rows: Any) -> Any:
            self.asked = rows.tolist()
            return super().encoded(name, rows)

    plain, _ = pictured("png")
    source = Counted([5, 6], plain.values, shapes={"cam": (12, 20, 3)})
    for batch in batches(source, None, batch_size=11, n_obs=9, threads=1, shuffle=False):
        assert batch.valid["cam"].sum() == sum(min(k, 8) + 1 for n in (5, 6) for k in range(n))
        assert source.asked == list(range(STEPS))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_damaged_picture_is_named_or_skipped(kind: str) -> None:
    source, plain = pictured(kind)
    source.values["cam"][7] = source.values["cam"][7][:60]
    with pytest.raises(DataError, match="arrays, episode arrays-1, cam"):
        list(batches(source, None))
    with rc.DataLoader(source, batch_size=11, obs=["cam"], on_error="skip") as loader:
        (batch,) = loader
        assert sorted(batch.anchor.tolist()) == [k for k in range(STEPS) if k != 7]
        assert (batch["cam"][:, 0] == plain[batch.anchor]).all()
        (one,) = loader.stats()["ledger"]
        assert (one.episode, one.stream) == ("arrays-1", "cam")


def test_a_source_may_hold_encoded_and_another_plain_pictures() -> None:
    (encoded, first), (plain, second) = pictured("png", 12, 20), pictured("array", 24, 30)
    plain.name = "plain"
    with rc.DataLoader([encoded, plain], batch_size=5, images={"cam": rc.ImageOptions((6, 8))}) as loader:
        for batch in loader:
            for i, (s, step) in enumerate(zip(batch.source, batch.anchor)):
                image = Image.fromarray((first, second)[s][step])
                assert (batch["cam"][i, 0] == np.asarray(image.resize((8, 6), Image.Resampling.BILINEAR))).all()
    with pytest.raises(ArgumentError, match="bring pictures to one size"):
        rc.DataLoader([encoded, plain], batch_size=5)


@pytest.mark.parametrize("options, said", [
    ({"layout": "hw"}, "layout"),
    ({"resize": (0, 4)}, "resize"),
    ({"resize": 4}, "resize"),
    ({"filter": "cubic"}, "filter"),
    ({"mean": 0.5}, "both mean and std"),
    ({"mean": 0.5, "std": 0.5}, "dtype uint8"),
    ({"mean": 0.5, "std": 0, "dtype": "float32"}, "above zero"),
    ({"mean": [0.5, 1], "std": 1, "dtype": "float32"}, "3"),
    ({"dtype": "float64"}, "float64"),
    ({"dtype": "int32"}, "int32"),
])  # fmt: skip
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        rc.DataLoader(pictured("png")[0], batch_size=2, images={"cam": rc.ImageOptions(**options)})
    assert "cam" in str(caught.value)


def test_statistics_are_for_numbers() -> None:
    with pytest.raises(ArgumentError, match="ImageOptions"):
        rc.DataLoader(pictured("png")[0], batch_size=2, normalize={"cam": {"mean": 0, "std": 1}})


def test_colours_are_not_exchanged() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 250
    held = io.BytesIO()
    Image.fromarray(red).save(held, "JPEG", quality=95)
    source = Arrays([1], {"cam": [held.getvalue()]}, codec="jpeg")
    (batch,) = batches(source, rc.ImageOptions((2, 2), layout="chw"), batch_size=1)
    assert (batch["cam"][0, 0, 0] > 240).all()
    assert (batch["cam"][0, 0, 1:] < 10).all()
