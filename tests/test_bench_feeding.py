"""What the benchmarks of loading and training compare, and what the page makes of their results."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import _results, bench_loading, report
from tests.test_bench_report import CARD, CPU, result, stored


def items(**more: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {"0|action": rng.random((4, 16, 2), np.float32), "0|cam": rng.random((4, 3, 8, 8), np.float32)}
    return made | more


def test_batches_that_differ_are_not_timed() -> None:
    mine = items()
    near = items(**{"0|cam": mine["0|cam"] + np.float32(1 / 255)})
    assert bench_loading.compared(mine, near) == {"equal": 1, "levels_apart": 1.0}
    for other in (
        {"0|action": mine["0|action"]},
        items(**{"0|action": mine["0|action"] + np.float32(1e-6)}),
        items(**{"0|action": mine["0|action"].astype(np.float64)}),
        items(**{"0|cam": mine["0|cam"][..., ::-1]}),
    ):
        with pytest.raises(_results.WrongResult):
            bench_loading.compared(mine, other)


def test_loading_on_the_page(tmp_path: Path) -> None:
    speeds = {"robocache": (100.0, 2.0), "lerobot": (250.0, 4.0)}
    row = {"op": "items", "method": "arm", "backend": "cpu", "shapes": {"B": 32}, "dtypes": {"values": "float32"},
           "pictures": 1, "workers": 2, "compared": {"equal": 16, "levels_apart": 0.1}}  # fmt: skip
    row |= {name: {"samples_per_second": n, "first_s": first} for name, (n, first) in speeds.items()}
    text = report.page(report.load(stored(tmp_path, "items", result("loading", [row], CPU))))
    assert "| arm | 1 | 2 | 100 | 250 | **0.40x** | 2.00 | 4.00 | 0.1 |" in text


def test_training_on_the_page(tmp_path: Path) -> None:
    def run(took: float, **more: Any) -> dict[str, Any]:
        spread = {"median": took, "q1": took, "q3": took, "p95": 2 * took}
        return {"step_ms": spread, "nvml_utilization": 97.0, "gpm": {"sm": 88.0}, "host_cpu_share": 0.25, **more}

    common = {"backend": "cuda", "shapes": {"B": 64, "A": 16}, "dtypes": {"values": "uint8"}, "pictures": 2}
    waits = {"loader": {"wait_ms_p95": 0.5}}
    rows = [
        {"op": "train", "method": "medium", "synthetic": run(10.0), "warm": run(10.2, **waits),
         "cold": run(12.5, gpm={"absent": "no"}, **waits) | {"gpm": {"absent": "no"}},
         "stall": {"warm": 0.0196, "cold": 0.2, "theirs": 0.75}, "theirs": run(40.0),
         "held_out_loss": {"before": 1.0, "after": 0.25}, **common},
        {"op": "sweep", "method": "pictures", "steps_ms": {"5": {"stall": 0.5}, "20": {"stall": 0.01}},
         "smallest_ms": 20, **common},
        {"op": "load", "method": "pictures", **common,
         "samples_per_second": {"robocache": 9000.0, "torch": 1000.0, "torch_workers": 16}},
    ]  # fmt: skip
    data = {"episodes": 700, "steps": 84_000, "bytes": 5e9, "convert_s": 9.0, "workers": 16, "threads": 14,
            "decoded_episodes": 70, "decoded_bytes": 3e9}  # fmt: skip
    text = report.page(report.load(stored(tmp_path, "training", result("training", rows, CARD, data=data))))
    for line in (
        "| medium | 64 | synthetic | 10.0 | 20.0 | - | 97.0 | 88.0 | 25.0 | - |",
        "| - | - | warm | 10.2 | 20.4 | 2.0 | 97.0 | 88.0 | 25.0 | 0.50 |",
        "| - | - | cold | 12.5 | 25.0 | 20.0 | 97.0 | - | 25.0 | 0.50 |",
        "- medium: loss on held-out episodes 1.000 before, 0.250 after.",
        "| pictures | 64 | 50.0 | 1.0 | 20 ms |",
        "| pictures | 64 | 9,000 | 1,000 (16 processes) | 9.0x |",
        "| - | - | PyTorch's | 40.0 | 80.0 | 75.0 | 97.0 | 88.0 | 25.0 | - |",
        "5.0 GB; converted in 9.00 s by 16 processes. The loader has 14 threads for pictures and 2 for numbers alone. "
        "Decoded beforehand were 70 of the episodes, 3.0 GB.",
    ):
        assert line in text, line


def test_shards_on_the_page(tmp_path: Path) -> None:
    def took(seconds: float, **more: Any) -> dict[str, Any]:
        return {"wall_us": {"median": seconds * 1e6}, **more}

    row = {"op": "distributed", "method": "robomimic to store", "backend": "cpu", "dtypes": {"values": "float64"},
           "shapes": {"E": 10_000, "T": 200, "D": 39, "shards": 10}, "bytes": 62e7, **took(60.0),
           "peers": {"local 2": took(33.0, share=0.1234), "plan": took(3.5)}}  # fmt: skip
    text = report.page(report.load(stored(tmp_path, "shards", result("distributed", [row], CPU))))
    for line in (
        "10,000 episodes of 200 steps and 39 numbers, 620 MB in 10 shards; the work alone takes 60.0 s in one process.",
        "| local 2 | 33.0 | 12 |",
        "| plan | 3.50 | - |",
    ):
        assert line in text, line


def test_what_was_measured_before_an_end_from_outside_is_there_and_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "out.json"

    def rows() -> Any:
        yield lambda: {"op": "a", "shapes": {}, "dtypes": {}}
        yield lambda: {"op": "b", "shapes": {}, "dtypes": {}}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _results.finish(path, "suite", rows())
    found = json.loads(path.read_text("utf-8"))
    assert [row["op"] for row in found["rows"]] == ["a", "b"]
    with pytest.raises(_results.ResultError, match="not finished"):
        _results.read(path)
