"""Pictures of datasets: an episode as a figure or a Rerun recording, a dataset as a page of HTML."""

from .figure import draw, save
from .pages import page
from .panels import Curve, Panel
from .recording import record
from .scenes import Scene, scene
from .summaries import Summary, survey

__all__ = ["Curve", "Panel", "Scene", "Summary", "draw", "page", "record", "save", "scene", "survey"]
