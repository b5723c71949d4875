"""Timings anyone can rerun: ``python3 -m benchmarks.bench_trajectory --out result.json``."""
