"""Batches for training, read ahead by threads: windows or whole episodes, on the CPU or a GPU."""

from ._dataset import DatasetSource
from ._memory import MemorySource
from ._resampled import ResampledSource
from .batch import Batch
from .budget import MemoryPlan
from .fields import Normalize
from .filling import Skip
from .loader import DataLoader
from .pictures import ImageOptions
from .sampler import Picked, Sampler
from .sources import Source

__all__ = [
    "Batch",
    "DataLoader",
    "DatasetSource",
    "ImageOptions",
    "MemoryPlan",
    "MemorySource",
    "Normalize",
    "Picked",
    "ResampledSource",
    "Sampler",
    "Skip",
    "Source",
]
