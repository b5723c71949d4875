"""One JSON of what a GPU run showed: the suite's counts and skips, and the sanitizer's verdicts."""

import json
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import _timing


def suite(path: Path) -> dict[str, object]:
    """Counts of a junit file, and each reason for a skip."""
    root = ET.parse(path).getroot().find("testsuite")
    if root is None:
        raise SystemExit(f"{path} holds no test suite")
    reasons = Counter(skip.get("message", "") for skip in root.iter("skipped"))
    counts = {name: int(root.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    return {**counts, "seconds": float(root.get("time", "0")), "skip_reasons": dict(reasons)}


def verdict(log: Path, run: Path) -> dict[str, str]:
    """Last summary line of compute-sanitizer and of the pytest run under it."""
    summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: \d+ (?:error|hazard).*", log.read_text(errors="replace"))
    tests = re.findall(r"(?:\d+ failed, )?\d+ passed.*", run.read_text(errors="replace"))
    return {"sanitizer": summary[-1] if summary else "no summary", "tests": tests[-1] if tests else "none finished"}


def main() -> None:
    """Write OUT/suite.json from what lies in OUT."""
    out = Path(sys.argv[1])
    result: dict[str, object] = {"machine": _timing.machine()}
    if (out / "suite.xml").exists():
        result["suite"] = suite(out / "suite.xml")
    for tool in ("memcheck", "racecheck"):
        if (out / f"{tool}.log").exists():
            result[tool] = verdict(out / f"{tool}.log", out / f"{tool}.txt")
    (out / "suite.json").write_text(json.dumps(result, indent=1) + "\n")
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
