"""Typed errors and warnings of RoboCache, for ``except`` clauses."""

from ._core.errors import (
    ArgumentError,
    BackendError,
    DataError,
    DataWarning,
    DeviceError,
    DTypeError,
    MemoryLimitError,
    PositionError,
    RoboCacheError,
    ShapeError,
)

__all__ = [
    "ArgumentError",
    "BackendError",
    "DTypeError",
    "DataError",
    "DataWarning",
    "DeviceError",
    "MemoryLimitError",
    "PositionError",
    "RoboCacheError",
    "ShapeError",
]
