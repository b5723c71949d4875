"""Robot datasets of any format as episodes of streams, with neither TensorFlow nor PyTorch."""

from typing import Any

from ._on_device import decode_images, image_decoder
from ._registry import Reader, formats, module_of, open_dataset, register
from ._remote import fetch
from .facts import ActionSpec, Finding, Span
from .model import Dataset, Episode, StepIndex
from .streams import Range, Source, Stream, StreamSpec, Timing, Values


def __getattr__(name: str) -> Any:
    return module_of(__name__, name)  # calvin, lerobot, rtx


__all__ = [
    "ActionSpec",
    "Dataset",
    "Episode",
    "Finding",
    "Range",
    "Reader",
    "Source",
    "Span",
    "StepIndex",
    "Stream",
    "StreamSpec",
    "Timing",
    "Values",
    "decode_images",
    "fetch",
    "formats",
    "image_decoder",
    "open_dataset",
    "register",
]
