"""Plain logs: TUM, EuRoC and KITTI text, any CSV or columns of numbers (also ``.gz``), ``.npy`` and ``.npz``."""

from .._registry import Reader
from ._open import open_log, sniff

READER = Reader("logs", sniff, open_log)

__all__ = ["READER"]
