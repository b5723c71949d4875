"""RoboCache: multi-rate robot logs to aligned arrays, on the GPU through CuPy or on the CPU through Numba."""

__version__ = "0.1.0.dev0"
