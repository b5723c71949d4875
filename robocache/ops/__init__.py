"""The operations. The docstring of each is its specification; both backends answer to it."""
