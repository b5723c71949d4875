"""Native threads for kernels that take their arguments as one address.

Waking a Python thread hands over the GIL, which takes as long as a small call, and for many threads one after another.
These threads never see Python: they wait on a lock of the interpreter's own (``PyThread_*``, the same on every system)
and run machine code. Whoever is there takes the next part of the work, the caller first, and the caller takes back its
call to a thread that has not begun: a thread that wakes late, or never, costs nothing.
"""

import ctypes
import math
import os
import struct
import threading
from typing import Any

from numba import int64, void

from ._address import add, call, swap, view
from ._jit import MOST_THREADS, kernel, native, threads

POST_BYTES = 1 << 16  # what calling one thread costs the caller, in bytes moved in the same time
LEAST_BYTES = 1 << 20  # less than this is done before another thread has woken
PARTS = 4  # parts a thread, so that those who come late or are slow do fewer
PART_BYTES = 1 << 17  # what a part should move at least
ALONE = (0, 1, 0, 0)  # no helpers, one part

# A worker's record is a cache line: the job it is called to, and the lock it sleeps on with what takes and frees it.
WORKER = struct.Struct("=4q32x")
IDLE, BUSY = 0, -1
MAIL, LOCK, ACQUIRE, RELEASE = range(4)
# A job: parts begun; members in it; how many parts and items; what does a part, with which arguments; where it reports;
# the lock that the caller sleeps on; the records of the workers.
JOB = struct.Struct("=10q")
BEGUN, MEMBERS, PARTED, ITEMS, FUNCTION, ARGS, REPORTS, DONE, WORKERS, SIZE = range(10)
REPORT = struct.Struct("=4q")
ARGS_AT, REPORTS_AT = 128, 512
JOB_BYTES = REPORTS_AT + MOST_THREADS * PARTS * REPORT.size

_python = ctypes.pythonapi
_allocate = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", _python))
_acquire = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(("PyThread_acquire_lock", _python))
_release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(("PyThread_release_lock", _python))
_start = ctypes.PYFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p)(("PyThread_start_new_thread", _python))

_team: "_Team | None" = None
spare: "list[Memory]" = []
_lock = threading.Lock()


@kernel(inline=True)
def _work(job):
    """Parts of a job until none is left."""
    words = view(job, 10, int64)
    parts, items = words[PARTED], words[ITEMS]
    while True:
        part = add(job + 8 * BEGUN, 1)
        if part >= parts:
            return
        report = words[REPORTS] + part * 32
        call(words[FUNCTION], items * part // parts, items * (part + 1) // parts, words[ARGS], report)


@kernel(inline=True)
def _leave(job, members):
    """Whether these were the last members of the job; it must not be touched any more by those who were not."""
    return add(job + 8 * MEMBERS, -members) == members


@native(void(int64))
def _serve(worker):
    """What a thread does for the rest of the process."""
    record = view(worker, 4, int64)
    while True:
        call(record[ACQUIRE], record[LOCK], 1, 0, 0)
        job = add(worker, 0)
        if job != IDLE and swap(worker, job, BUSY):  # else the caller has done without
            _work(job)
            done = view(job, 10, int64)[DONE]
            swap(worker, BUSY, IDLE)
            if _leave(job, 1):
                call(record[RELEASE], done, 0, 0, 0)


@kernel(inline=True)
def drive(job, function, items, helpers, parts, workers, size):
    """Do a job whose arguments are in place, with up to that many idle workers."""
    words = view(job, 10, int64)
    words[BEGUN], words[MEMBERS], words[PARTED], words[ITEMS] = 0, helpers + 1, parts, items
    words[FUNCTION], words[WORKERS], words[SIZE] = function, workers, size
    absent = helpers
    for worker in range(workers, workers + 64 * size, 64):
        if absent > 0 and swap(worker, IDLE, job):
            absent -= 1
            record = view(worker, 4, int64)
            call(record[RELEASE], record[LOCK], 0, 0, 0)
    _work(job)
    for worker in range(workers, workers + 64 * size, 64):
        absent += swap(worker, job, IDLE)
    if not _leave(job, absent + 1):
        call(view(workers, 4, int64)[ACQUIRE], words[DONE], 1, 0, 0)


@kernel()
def _run(job, function, items, helpers, parts, workers, size):
    drive(job, function, items, helpers, parts, workers, size)


def crew(items: int, nbytes: int) -> tuple[int, int, int, int]:
    """Who helps with a job that moves so many bytes: helpers, parts, and the records of the workers."""
    if nbytes < LEAST_BYTES:
        return ALONE
    # n threads take work / n + n * post, which is least at the root of work / post.
    count = min(threads(), MOST_THREADS, items, math.isqrt(nbytes // POST_BYTES))
    if count <= 1:
        return ALONE
    team = _workers(count - 1)
    return count - 1, max(count, min(items, count * PARTS, nbytes // PART_BYTES)), team.start, team.size


def take() -> "Memory":
    """Memory for a job, to be given back to ``spare``."""
    try:
        return spare.pop()
    except IndexError:
        return Memory()


def spread(function: int, items: int, nbytes: int, layout: struct.Struct, *args: Any) -> list[tuple[int, ...]]:
    """Run the C function at an address as ``function(start, stop, args, report)`` over ``range(items)``.

    ``nbytes`` is the work in bytes moved. Returns the four integers that each part has reported, in order.
    """
    job, hands = take(), crew(items, nbytes)
    layout.pack_into(job.bytes, ARGS_AT, *args)
    _run(job.start, function, items, *hands)
    found = [REPORT.unpack_from(job.bytes, REPORTS_AT + part * REPORT.size) for part in range(hands[1])]
    spare.append(job)
    return found


class Memory:
    """Of one job; with the lock its caller sleeps on."""

    def __init__(self) -> None:
        self.bytes = bytearray(JOB_BYTES)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.bytes))
        JOB.pack_into(self.bytes, 0, 0, 0, 0, 0, 0, self.start + ARGS_AT, self.start + REPORTS_AT, _closed(), 0, 0)


class _Team:
    """The threads of this process, which stay."""

    def __init__(self) -> None:
        self.memory = bytearray(WORKER.size * (MOST_THREADS + 1))
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.start = -(-address // WORKER.size) * WORKER.size  # each record in a cache line
        self.offset = self.start - address
        self.size = 0

    def grow(self, size: int) -> None:
        """Have at least ``size`` threads, or as many as the system gives."""
        while self.size < size:
            at = WORKER.size * self.size
            WORKER.pack_into(self.memory, self.offset + at, IDLE, _closed(), _address(_acquire), _address(_release))
            if _start(_serve.address, self.start + at) == ctypes.c_ulong(-1).value:
                return
            self.size += 1


def _closed() -> int:
    lock: int = _allocate()
    _acquire(lock, 1)
    return lock


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _workers(size: int) -> _Team:
    global _team
    team = _team
    if team is None or team.size < size:
        with _lock:
            team = _team = _team or _Team()
            team.grow(size)
    return team


def _forget() -> None:
    """A fork has none of the threads, and perhaps a lock that one of them held."""
    global _team, _lock
    _team, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
