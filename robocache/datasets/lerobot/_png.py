"""Pictures to PNG."""

import io
from typing import Any

from .._faults import missing


def encode_png(image: Any) -> bytes:
    """A uint8 picture (height, width, 3) as PNG, quickly rather than small."""
    try:
        from PIL import Image
    except ImportError as error:
        missing("PIL", "writing PNG", error)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


__all__ = ["encode_png"]
