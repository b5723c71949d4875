"""Numbers that Python and CUDA both hold: scratch memory is sized by the one and used by the other."""

import re
from pathlib import Path

import numpy as np
import pytest

from robocache._core import tally

CUDA = Path(__file__).resolve().parents[1] / "robocache" / "cuda"


@pytest.mark.parametrize(
    ("name", "python", "header", "macro"),
    [
        ("GRID_THREADS", "_points.py", "grid.cuh", "THREADS"),
        ("ALONE", "_points.py", "table.cuh", "ALONE"),
        ("CHUNK", "_points.py", "table.cuh", "CHUNK"),
        ("ACCESS", "extremes.py", "extremes.cuh", "ACCESS"),
        ("THREADS", "_points.py", "dense.cuh", "DENSE_THREADS"),
        ("SLOTS", "_scan.py", "dense.cuh", "SLOTS"),
        ("SLOTS", "stats.py", "tally.cuh", "SLOTS"),
        ("TILE", "_work.py", "found.cuh", "TILE"),
        ("TILE", "curve.py", "curve.cuh", "TILE"),
        ("FOUND", "_work.py", "found.cuh", "FOUND_BYTES"),
        ("MOST", "group.py", "group.cuh", "MOST"),
        ("WINDOWS", "windows.py", "windows.cu", "WINDOWS"),
        ("ANCHORS", "deltas.py", "deltas.cu", "ANCHORS"),
        ("VIEWS", "tsdf.py", "tsdf.cu", "VIEWS"),
        ("STEPS", "tsdf.py", "tsdf.cu", "STEPS"),
        ("PARTS", "surface.py", "surface.cu", "PARTS"),
        ("SCANNERS", "surface.py", "surface.cu", "SCANNERS"),
        ("KEEPERS", "_compact.py", "compact.cuh", "KEEPERS"),
        ("CAMERA", "_affine.py", "affine.cuh", "CAMERA"),
        ("ALONE_THREADS", "sampling.py", "sampling.cu", "ALONE_THREADS"),
        ("TOGETHER_THREADS", "sampling.py", "sampling.cu", "TOGETHER_THREADS"),
        ("TILE_BYTES", "canvas.py", "canvas.cu", "TILE_BYTES"),
        ("BLOCK", "canvas.py", "canvas.cu", "BLOCK"),
        ("CROWD", "hard.py", "hard.cuh", "CROWD"),
    ],
)
def test_python_and_cuda_agree(name, python, header, macro):
    space: dict[str, object] = {}
    for line in (CUDA / python).read_text("utf-8").splitlines():
        if re.match(rf"[A-Z_, ]*\b{name}\b[A-Z_, ]* = [\d, ]+(\s*#.*)?$", line):
            exec(line, space)
    found = re.search(rf"#define {macro} (\d+)", (CUDA / header).read_text("utf-8"))
    assert found is not None
    assert space[name] == int(found[1])


def test_what_a_thread_keeps_of_farthest_points():
    header, python = ((CUDA / name).read_text("utf-8") for name in ("sampling.cu", "sampling.py"))
    kept = re.search(r"HELD = sizeof\(ACC_T\) == 4 \? (\d+) : (\d+)", header).groups()
    assert kept == re.search(r"^HELD = \{4: (\d+), 8: (\d+)\}", python, re.MULTILINE).groups()


def test_the_parts_of_a_cell_that_weights_are_made_of():
    splat = re.search(r"#define STEPS (\d+)", (CUDA / "splat.cu").read_text("utf-8"))[1]
    assert int(splat) == 1 << int(
        re.search(r"STEPS = 1 << (\d+)", (CUDA.parent / "cpu/canvas.py").read_text("utf-8"))[1]
    )


def test_the_least_room_of_a_table():
    """So many entries are cleared before it is known how many there are."""
    header, python = ((CUDA / name).read_text("utf-8") for name in ("group.cuh", "group.py"))
    room = re.search(r"#define LEAST \(1ll << (\d+)\)", header)[1]
    assert room == re.search(r"^LEAST_ENTRIES = 1 << (\d+)", python, re.MULTILINE)[1]


def test_the_warps_of_a_block():
    text = (CUDA / "grid.cuh").read_text("utf-8")
    threads, warps = (int(re.search(rf"#define {name} (\d+)", text)[1]) for name in ("THREADS", "WARPS"))
    assert threads == 32 * warps


def test_the_blocks_a_multiprocessor_has_registers_for():
    header, python = (CUDA / "dense.cuh").read_text("utf-8"), (CUDA / "_scan.py").read_text("utf-8")
    from_cuda = re.search(r"DENSE_BLOCKS = sizeof\(ACC_T\) == 4 \? (\d) : (\d)", header)
    from_python = re.search(r"^EACH = \{4: (\d), 8: (\d)\}", python, re.MULTILINE)
    assert from_cuda.groups() == from_python.groups()


def test_what_a_block_solves_of_a_cubic():
    header, python = (CUDA / "bend.cuh").read_text("utf-8"), (CUDA / "curve.py").read_text("utf-8")
    chunk, short, long = re.search(r"CHUNK = (\d+), HALO = sizeof\(ACC_T\) == 4 \? (\d+) : (\d+)", header).groups()
    bend = re.search(r"^BEND = \{4: \((\d+), (\d+)\), 8: \((\d+), (\d+)\)\}", python, re.MULTILINE).groups()
    assert bend == (chunk, short, chunk, long)
    solvers = re.search(r"SOLVERS = sizeof\(ACC_T\) == 4 \? (\d+) : (\d+)", header).groups()
    assert re.search(r"^SOLVERS = \{4: (\d+), 8: (\d+)\}", python, re.MULTILINE).groups() == solvers


def test_a_state_has_room():
    """The largest is struct Plan: eight words and two boxes of six."""
    text = (CUDA / "table.cuh").read_text("utf-8")
    body = re.search(r"struct Plan \{.*?\n(.*?)\n\};", text, re.DOTALL)[1]
    words = sum(
        int(np.prod([int(n) for n in re.findall(r"\[(\d+)\]", line.split(";")[0])])) for line in body.splitlines()
    )
    slot = int(re.search(r"^SLOT, SLOTS = (\d+)", (CUDA / "_scratch.py").read_text("utf-8"), re.MULTILINE)[1])
    assert words == 20
    assert 4 * words <= slot


@pytest.mark.parametrize("form", [tally.NARROW, tally.WIDE], ids=["narrow", "wide"])
def test_the_digits_of_statistics(form):
    """tally.cuh has them under #if WIDE … #else, which Python and the CPU share."""
    wide, narrow = (CUDA / "tally.cuh").read_text("utf-8").split("#if WIDE", 1)[1].split("#else", 1)
    text = wide if form is tally.WIDE else narrow
    found = {name: int(number) for name, number in re.findall(r"#define (\w+) (\d+)", text)}
    assert (found["BINADES"], found["SUM_DIGITS"]) == (form.binades, form.sum_digits)
    assert (found["SQUARE_DIGITS"], found["LOWEST"]) == (form.square_digits, form.least - form.origin)


def test_what_a_tile_of_a_compaction_holds():
    header, python = (CUDA / "compact.cuh").read_text("utf-8"), (CUDA / "_compact.py").read_text("utf-8")
    from_cuda = re.search(r"ITEMS = sizeof\(ACC_T\) == 4 \? (\d) : (\d)", header)
    from_python = re.search(r"^ITEMS = \{4: (\d), 8: (\d)\}", python, re.MULTILINE)
    assert from_cuda.groups() == from_python.groups()
