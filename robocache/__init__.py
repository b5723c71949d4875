"""RoboCache: multi-rate robot logs to aligned arrays, on the GPU through CuPy or on the CPU through Numba."""

from . import errors
from .ops.fusion import Fused, Stream, fuse_multimodal
from .ops.plan import Plan
from .ops.trajectory import resample_trajectories
from .ops.voxel import Voxels, voxel_grid, voxelize, voxelize_point_cloud

__version__ = "0.1.0.dev0"

__all__ = [
    "Fused",
    "Plan",
    "Stream",
    "Voxels",
    "errors",
    "fuse_multimodal",
    "resample_trajectories",
    "voxel_grid",
    "voxelize",
    "voxelize_point_cloud",
]
