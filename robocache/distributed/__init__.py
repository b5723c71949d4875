"""Whole datasets on many machines: a plan, shards made by anyone in any order, and a store made of them."""

from .making import run_shard
from .manifest import Manifest, plan
from .merging import Merged, Status, merge, status
from .running import run
from .statistics import read_statistics

__all__ = ["Manifest", "Merged", "Status", "merge", "plan", "read_statistics", "run", "run_shard", "status"]
