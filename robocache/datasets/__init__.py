"""Robot datasets of any format as episodes of streams, with neither TensorFlow nor PyTorch."""

from ._on_device import decode_images, image_decoder
from ._registry import Reader, formats, open_dataset, register
from ._remote import fetch
from .facts import ActionSpec, Finding, Span
from .model import Dataset, Episode, StepIndex
from .streams import Range, Source, Stream, StreamSpec, Timing, Values

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
