"""A random-access cache of episodes: decoded, aligned and resampled once, then read at the speed of memory."""

from ._reader import open_as_dataset
from ._store import Store, open_store
from ._zarr import ZarrSource, export_zarr
from .conversion import Conversion, convert
from .plan import Plan, finish, make_plan, run_shard

__all__ = [
    "Conversion",
    "Plan",
    "Store",
    "ZarrSource",
    "convert",
    "export_zarr",
    "finish",
    "make_plan",
    "open_as_dataset",
    "open_store",
    "run_shard",
]
