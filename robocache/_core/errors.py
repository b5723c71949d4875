"""Typed errors and warnings. Each message names the argument, what came, what was expected and the remedy."""


class RoboCacheError(Exception):
    """Base of every error that RoboCache raises on purpose."""


class ArgumentError(RoboCacheError, ValueError):
    """An option has a value outside what it allows."""


class ShapeError(RoboCacheError, ValueError):
    """An array has the wrong number of dimensions or does not fit the others."""


class PositionError(RoboCacheError, IndexError):
    """An integer index lies past the end of a sequence."""


class DTypeError(RoboCacheError, TypeError):
    """An array has a type that the operation cannot take."""


class DeviceError(RoboCacheError, ValueError):
    """Arrays of one call live on different devices, or on one that cannot be used."""


class BackendError(RoboCacheError, RuntimeError):
    """A package, driver or compiler that this call needs is missing or unusable."""


class DataError(RoboCacheError, ValueError):
    """The numbers or bytes themselves break the contract: unsorted times, lengths past the end, damaged files.

    Of a dataset, ``file``, ``episode`` and ``key`` say where.
    """

    file: str | None = None
    episode: object = None
    key: str | None = None


class MemoryLimitError(RoboCacheError, MemoryError):
    """The result would not fit; the message says how large it would be."""


class DataWarning(UserWarning):
    """Data that is usable but suspect, or a fault that a GPU call reported without a sync."""
