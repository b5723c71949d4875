"""The CPU backend: Numba twins of the kernels in ``robocache.cuda``, one module per topic."""
