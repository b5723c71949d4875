"""Bags: MCAP, ROS 1 ``.bag``, and ROS 2 folders with ``metadata.yaml``; a bag is an episode, a topic some streams.

Files are read here, message by message at their own offsets; rosbags gives the types of bags without definitions, IDL,
and the libraries that inflate chunks.
"""

from ._open import open_bags

__all__ = ["open_bags"]
