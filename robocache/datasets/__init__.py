"""Robot datasets of any format as episodes of streams, with neither TensorFlow nor PyTorch."""

from ._registry import Reader, formats, open_dataset, register
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
    "formats",
    "open_dataset",
    "register",
]
