"""RoboCache: multi-rate robot logs to aligned arrays, on the GPU through CuPy or on the CPU through Numba."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from . import errors, rotations
    from .loaders import DataLoader, ImageOptions
    from .ops.alignment import align
    from .ops.clocks import (
        CleanTimes,
        ClockFit,
        ClockOffset,
        TimesReport,
        estimate_offset,
        fit_clock,
        sanitize_times,
    )
    from .ops.clouds import PackedPoints, crop_box, transform_points
    from .ops.deltas import DeltaBatch, DeltaTimestamps, delta_timestamps
    from .ops.depth import depth_to_points, estimate_normals
    from .ops.downsampling import DownsampledCloud, voxel_downsample
    from .ops.fusion import fuse_multimodal
    from .ops.gather import gather_windows
    from .ops.hard_voxels import HardVoxels, hard_voxelize
    from .ops.plan import Plan
    from .ops.point_voxels import point_to_voxel
    from .ops.pose_resampling import resample_poses
    from .ops.records import Clock, Fused, Stream
    from .ops.sampling import farthest_point_sample
    from .ops.scaling import denormalize, normalize
    from .ops.stats import RunningStats
    from .ops.surface import SurfaceMesh, SurfacePoints, tsdf_to_mesh, tsdf_to_points
    from .ops.trajectory import resample_trajectories
    from .ops.tsdf import tsdf_integrate
    from .ops.voxel import Voxels, voxel_grid, voxelize, voxelize_point_cloud
    from .ops.windows import WindowBatch, Windows, windows

__version__ = "0.1.0.dev0"

__all__ = [
    "CleanTimes",
    "Clock",
    "ClockFit",
    "ClockOffset",
    "DataLoader",
    "DeltaBatch",
    "DeltaTimestamps",
    "DownsampledCloud",
    "Fused",
    "HardVoxels",
    "ImageOptions",
    "PackedPoints",
    "Plan",
    "RunningStats",
    "Stream",
    "SurfaceMesh",
    "SurfacePoints",
    "TimesReport",
    "Voxels",
    "WindowBatch",
    "Windows",
    "align",
    "crop_box",
    "delta_timestamps",
    "denormalize",
    "depth_to_points",
    "errors",
    "estimate_normals",
    "estimate_offset",
    "farthest_point_sample",
    "fit_clock",
    "fuse_multimodal",
    "gather_windows",
    "hard_voxelize",
    "normalize",
    "point_to_voxel",
    "resample_poses",
    "resample_trajectories",
    "rotations",
    "sanitize_times",
    "transform_points",
    "tsdf_integrate",
    "tsdf_to_mesh",
    "tsdf_to_points",
    "voxel_downsample",
    "voxel_grid",
    "voxelize",
    "voxelize_point_cloud",
    "windows",
]

# Where names come from when they are first asked for: importing the package alone does not even load NumPy.
_HOME = {
    ".errors": ("errors",),
    ".loaders": ("DataLoader", "ImageOptions"),
    ".ops.alignment": ("align",),
    ".ops.clocks": (
        "CleanTimes",
        "ClockFit",
        "ClockOffset",
        "TimesReport",
        "estimate_offset",
        "fit_clock",
        "sanitize_times",
    ),
    ".ops.clouds": ("PackedPoints", "crop_box", "transform_points"),
    ".ops.deltas": ("DeltaBatch", "DeltaTimestamps", "delta_timestamps"),
    ".ops.depth": ("depth_to_points", "estimate_normals"),
    ".ops.downsampling": ("DownsampledCloud", "voxel_downsample"),
    ".ops.fusion": ("fuse_multimodal",),
    ".ops.gather": ("gather_windows",),
    ".ops.hard_voxels": ("HardVoxels", "hard_voxelize"),
    ".ops.plan": ("Plan",),
    ".ops.pose_resampling": ("resample_poses",),
    ".ops.point_voxels": ("point_to_voxel",),
    ".ops.records": ("Clock", "Fused", "Stream"),
    ".ops.sampling": ("farthest_point_sample",),
    ".ops.scaling": ("denormalize", "normalize"),
    ".ops.stats": ("RunningStats",),
    ".ops.surface": ("SurfaceMesh", "SurfacePoints", "tsdf_to_mesh", "tsdf_to_points"),
    ".ops.trajectory": ("resample_trajectories",),
    ".ops.tsdf": ("tsdf_integrate",),
    ".rotations": ("rotations",),
    ".ops.voxel": ("Voxels", "voxel_grid", "voxelize", "voxelize_point_cloud"),
    ".ops.windows": ("WindowBatch", "Windows", "windows"),
}


def __getattr__(name: str) -> typing.Any:
    for home, names in _HOME.items():
        if name in names:
            module = importlib.import_module(home, __name__)
            value = globals()[name] = module if home == f".{name}" else getattr(module, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
