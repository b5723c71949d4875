"""What befalls workers, which start from nothing: Python imports this first in each of them, as ``sitecustomize``.

``KILLS``: a folder with files named by numbers. Adding bytes, flushing and renaming are events, counted by each worker;
the first that comes to an event with such a file takes the file away and kills itself. ``POISON``: names of episodes
that kill whoever reads them. ``FULL``: nothing can be flushed to the disk.
"""

import os
import signal
import sys
from pathlib import Path


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def counted(function):
    def event(*args, **options):
        counted.events += 1
        try:
            Path(os.environ["KILLS"], str(counted.events)).unlink()
            die()
        except FileNotFoundError:
            pass
        return function(*args, **options)

    return event


def poisoned(function):
    def align(episode, *args):
        if episode.id in os.environ["POISON"].split(","):
            die()
        return function(episode, *args)

    return align


def full(descriptor):
    raise OSError(28, "No space left on device")


if any("spawn_main" in word or "default_worker" in word for word in sys.orig_argv):
    from robocache.store import _writing, plan

    counted.events = 0
    if os.environ["KILLS"]:
        _writing.Part.add = counted(_writing.Part.add)
        _writing.os.fsync, _writing.os.replace = counted(os.fsync), counted(os.replace)
    if os.environ["POISON"]:
        plan.align_episode = poisoned(plan.align_episode)
    if os.environ["FULL"]:
        _writing.os.fsync = full
