"""Batches for training: which items make them up, and what they are read from."""

from ._dataset import DatasetSource
from ._memory import MemorySource
from ._resampled import ResampledSource
from .sampler import Picked, Sampler

__all__ = ["DatasetSource", "MemorySource", "Picked", "ResampledSource", "Sampler"]
