"""What the first bytes of a PNG or JPEG say of the picture."""

from typing import Any

import numpy as np

from ._images import codec_of


def encoded_shape(data: Any) -> tuple[tuple[int, int, int], np.dtype[Any]] | None:
    """Height, width, channels and type by the header of a PNG or JPEG, without a decoder; None if it cannot be told."""
    head = bytes(data[: 1 << 16])
    if codec_of(head) == "png" and head[12:16] == b"IHDR" and len(head) > 26:
        width, height = (int.from_bytes(head[k : k + 4], "big") for k in (16, 20))
        channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(head[25])
        wide = head[24] == 16 and head[25] == 0
        return None if channels is None else ((height, width, channels), np.dtype("u2" if wide else "u1"))
    at = 2
    while codec_of(head) == "jpeg" and at + 10 <= len(head) and head[at] == 0xFF:
        if 0xC0 <= head[at + 1] <= 0xCF and head[at + 1] not in (0xC4, 0xC8, 0xCC):
            height, width = (int.from_bytes(head[k : k + 2], "big") for k in (at + 5, at + 7))
            return (height, width, 1 if head[at + 9] == 1 else 3), np.dtype("u1")
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


__all__ = ["encoded_shape"]
