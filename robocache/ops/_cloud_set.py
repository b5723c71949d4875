"""The result of ``crop_box`` and ``depth_to_points``."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class PackedPoints:
    """Points that were kept, of one cloud or of several, all arrays in the framework and on the device of the input.

    Attributes
    ----------
    points : array [M, C]
        Clouds one after the other, each in the order of the input.
    features : array [M, F] or [M], optional
        Rows of the features or colours that belong to the points; None if none were given.
    index : array [M], int64, optional
        Place of each point in the input, counted over its rows or pixels; None unless asked for.
    offsets : array [B + 1], int64
        Points of cloud ``b`` are ``offsets[b]:offsets[b + 1]``; ``[0, M]`` for a single cloud.
    num_points, found : array [], int64
        Points in the arrays, and points there would be without ``max_points``.
    """

    points: Any
    features: Any
    index: Any
    offsets: Any
    num_points: Any
    found: Any


def packed(call: Any, found: dict[str, Any], flat: bool) -> PackedPoints:
    """What a twin found, in the caller's framework; features without their axis if ``flat``."""
    features = found["features"]
    if features is not None:
        features = call.give(features.reshape(-1) if flat else features)
    return PackedPoints(
        points=call.give(found["points"]),
        features=features,
        index=None if found["index"] is None else call.give(found["index"]),
        offsets=call.give(found["offsets"]),
        num_points=call.give(found["kept"]),
        found=call.give(found["found"]),
    )
