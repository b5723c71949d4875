"""Conversions that are killed, in a process of their own: ``killing.py <source> <folder> <points>`` (JSON).

Every byte that is added to a part, every flush to the disk and every renaming is an event. Point k of a conversion into
``<folder>/<k>`` is its k-th event, at whose beginning it kills itself; point 0 lets it live. Prints, for each point,
the events that were counted and how the process ended.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from robocache import store
from robocache.datasets import open_dataset
from robocache.store import _writing

OPTIONS: Any = {"streams": ["actions", "rewards", "obs/agentview_image"], "shard": 4000}


class Events:
    """Counts calls, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self.last, self.count = last, 0

    def before(self, function: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return counted


def convert(source: str, target: Path, last: int) -> int:
    """Convert with events counted."""
    events = Events(last)
    _writing.Part.add = events.before(_writing.Part.add)
    _writing.os.fsync, _writing.os.replace = events.before(os.fsync), events.before(os.replace)
    store.convert(source, target, **OPTIONS)
    return events.count


def main(source: str, folder: Path, points: list[int]) -> list[Any]:
    """Each point in a process that is forked before any thread was started."""
    with open_dataset(source):  # what is imported for it is then not imported in every child
        assert threading.active_count() == 1
    ended = []
    for point in points:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            count = convert(source, folder / str(point), point)
            os.write(writing, str(count).encode())
            os._exit(0)
        os.close(writing)
        status = os.waitpid(child, 0)[1]
        with os.fdopen(reading) as pipe:
            told = pipe.read()
        ended.append([int(told or 0), os.waitstatus_to_exitcode(status)])
    return ended


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))))
