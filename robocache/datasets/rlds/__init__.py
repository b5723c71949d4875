"""RLDS datasets as TFDS stores them, read and written with neither TensorFlow nor protobuf.

Open X-Embodiment (RT-X), BridgeData V2 and DROID come in this form. See `open_rlds` for the options that
`robocache.datasets.open_dataset` takes for it.
"""

from .actions import absolute_gripper
from .known import register_dataset
from .reader import open_rlds
from .writer import write_rlds

__all__ = ["absolute_gripper", "open_rlds", "register_dataset", "write_rlds"]
