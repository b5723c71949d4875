"""Plain logs: TUM, EuRoC and KITTI text, any CSV or columns of numbers (also ``.gz``), ``.npy`` and ``.npz``."""

from ._open import open_logs

__all__ = ["open_logs"]
