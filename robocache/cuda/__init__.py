"""The CUDA backend: one ``.cu`` per topic with its wrapper beside it. Importing it needs CuPy but no GPU."""
