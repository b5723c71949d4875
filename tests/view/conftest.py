"""The registry and the sets in memory of the dataset tests."""

from tests.datasets.conftest import make_set, registered

__all__ = ["make_set", "registered"]
