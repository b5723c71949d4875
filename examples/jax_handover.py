"""Hand arrays to RoboCache from JAX and back, on the device they are on.

    JAX_ENABLE_X64=1 python examples/jax_handover.py

JAX holds 64-bit integers only with jax_enable_x64, and nanoseconds need them, so this program turns it on.
"""

import sys

import jax
import jax.numpy as jnp

import robocache as rc


def main() -> int:
    """0 if the aligned arrays are what they must be."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        stamps = jnp.arange(0, 1_000_000_000, 10_000_000)  # 100 Hz, int64 ns
        joints = jnp.stack([stamps / 1e9, 2 * stamps / 1e9], axis=1).astype(jnp.float32)
        targets = jnp.arange(0, 1_000_000_000, 20_000_000) + 5_000_000
        aligned, valid = rc.resample_trajectories(joints, stamps, targets, return_valid=True)
        print(type(aligned).__name__, aligned.shape, aligned.dtype, aligned.devices(), "valid:", int(valid.sum()))
        half = jax.jit(lambda x: x / 2)(aligned)  # straight into jit; RoboCache itself is called outside of it
        expected = jnp.stack([targets / 2e9, targets / 1e9], axis=1)
        right = bool(jnp.allclose(half, expected, rtol=0, atol=1e-6)) and bool(valid.all())
    finally:
        jax.config.update("jax_enable_x64", before)
    print("right" if right else "WRONG")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
