# The verbs of a checkout. PYTHON picks the environment: make test PYTHON=.venv/bin/python
PYTHON ?= python3
CLANG_FORMAT = $(PYTHON) -c 'from clang_format import clang_format; clang_format()'
CUDA_SOURCES = $(wildcard robocache/cuda/*.cu robocache/cuda/*.cuh)

.PHONY: help install test lint type kernels format build clean ci bench bench-check gpu

help:  ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 13

install:  ## editable, with all that checking needs (add a CUDA extra yourself)
	$(PYTHON) -m pip install -e '.[test,lint]'

test:  ## all tests; ROBOCACHE_REQUIRE_CUDA=1 makes a missing GPU a failure
	$(PYTHON) -m pytest

lint:  ## ruff, clang-format, codespell; changes nothing
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(CLANG_FORMAT) --dry-run --Werror $(CUDA_SOURCES)
	$(PYTHON) -m codespell_lib

type:  ## mypy, strict
	$(PYTHON) -m mypy

kernels:  ## compile every kernel for every architecture; needs CuPy and NVRTC, no GPU
	$(PYTHON) .ci/compile_kernels.py

format:  ## rewrite Python and CUDA sources in the house style
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(CLANG_FORMAT) -i $(CUDA_SOURCES)

build:  ## the wheel, in dist/
	rm -rf build
	$(PYTHON) -m pip wheel --no-deps --wheel-dir dist .

clean:  ## what building and checking left behind
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find robocache tests benchmarks examples .ci -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

bench:  ## time the CPU beside its peers (install '.[interop]'); JSON in bench-results/
	$(PYTHON) -m benchmarks.bench_trajectory --backend cpu --out bench-results/trajectory_cpu.json
	$(PYTHON) -m benchmarks.bench_voxel --backend cpu --out bench-results/voxel_cpu.json
	for topic in curves rotations windows stats clouds clouds_voxels sampling tsdf; do \
		$(PYTHON) -m benchmarks.bench_$$topic --backend cpu --out bench-results/$${topic}_cpu.json || exit 1; \
	done

bench-check:  ## the performance gate: ratios and counts, never seconds
	$(PYTHON) -m benchmarks.gate

gpu:  ## on a GPU machine: suite, compute-sanitizer, timings; JSON and logs in bench-results/
	bash .ci/gpu_run bench-results

ci:  ## what continuous integration runs, in a fresh environment
	bash .ci/run
