"""Policies that are trained by imitation, in JAX: the state, and the goal or two pictures, to a chunk of actions.

``small`` is an MLP over state and goal; ``medium`` and ``large`` are transformers over patches of the pictures, the
state and one query for each action. Adam, bfloat16 in the layers, float32 in the parameters and the loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .training_data import CAMERAS, JOINTS

PATCH = 16


@dataclass(frozen=True)
class Size:
    """A policy, and the batches it is fed."""

    name: str
    width: int
    depth: int
    heads: int
    batch: int
    pictures: bool
    n_act: int = 16

    @property
    def seen(self) -> tuple[str, ...]:
        """Streams it is shown."""
        return ("state", *(CAMERAS if self.pictures else ("goal",)))


SIZES = (
    Size("small", 512, 3, 0, 256, False),
    Size("medium", 384, 8, 6, 64, True),
    Size("large", 1024, 16, 16, 64, True),
)


def parameters(size: Size, joints: int, seed: int = 0) -> Any:
    """At the start of training."""
    rng = np.random.default_rng(seed)

    def dense(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(shape[-2])).astype(np.float32)

    width, depth = size.width, size.depth
    common = {"state": dense(joints, width), "head": np.zeros((width, joints), np.float32)}
    if not size.pictures:
        return common | {
            "goal": dense(2, width),
            "layers": dense(depth, width, width),
            "head": np.zeros((width, size.n_act * joints), np.float32),
        }
    return common | {
        "patch": dense(PATCH * PATCH * 3, width),
        "place": 0.02 * dense(2 * 256, width),
        "query": dense(size.n_act, width),
        "layers": {
            "qkv": dense(depth, width, 3 * width), "out": dense(depth, width, width) / np.float32(np.sqrt(2 * depth)),
            "up": dense(depth, width, 4 * width),
            "down": dense(depth, 4 * width, width) / np.float32(np.sqrt(2 * depth)),
        },
    }  # fmt: skip


def normed(x: Any) -> Any:
    """Layer normalisation without parameters, in float32."""
    import jax.numpy as jnp

    wide = x.astype(jnp.float32)
    wide = wide - wide.mean(-1, keepdims=True)
    return (wide / jnp.sqrt((wide * wide).mean(-1, keepdims=True) + 1e-5)).astype(x.dtype)


def tokens(params: Any, batch: dict[str, Any], cameras: tuple[str, ...]) -> Any:
    """Patches of all pictures, (batch, patch, width)."""
    import jax.numpy as jnp

    found = []
    for camera in cameras:
        picture = batch[camera][:, -1].astype(jnp.bfloat16) / 127.5 - 1
        count, rows, columns, _ = picture.shape
        cut = picture.reshape(count, rows // PATCH, PATCH, columns // PATCH, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
        found.append(cut.reshape(count, -1, PATCH * PATCH * 3) @ params["patch"].astype(jnp.bfloat16))
    together = jnp.concatenate(found, 1)
    return together + params["place"][: together.shape[1]].astype(jnp.bfloat16)


def layer(size: Size) -> Callable[[Any, Any], tuple[Any, None]]:
    """A layer of the transformer, as ``lax.scan`` takes it."""
    import jax
    import jax.numpy as jnp

    def run(x: Any, weights: Any) -> tuple[Any, None]:
        w = {name: value.astype(jnp.bfloat16) for name, value in weights.items()}
        count, length, width = x.shape
        qkv = (normed(x) @ w["qkv"]).reshape(count, length, 3, size.heads, width // size.heads)
        mixed = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        x = x + mixed.reshape(count, length, width) @ w["out"]
        return x + jax.nn.gelu(normed(x) @ w["up"]) @ w["down"], None

    return run


def predict(size: Size, params: Any, batch: dict[str, Any], cameras: tuple[str, ...]) -> Any:
    """The chunk of actions, (batch, n_act, joints) in float32."""
    import jax
    import jax.numpy as jnp

    state = batch["state"][:, -1].astype(jnp.bfloat16) @ params["state"].astype(jnp.bfloat16)
    if not size.pictures:
        state = state + batch["goal"][:, -1].astype(jnp.bfloat16) @ params["goal"].astype(jnp.bfloat16)
        x, _ = jax.lax.scan(
            lambda x, w: (x + jax.nn.gelu(normed(x) @ w.astype(x.dtype)), None), state, params["layers"]
        )
        found = normed(x).astype(jnp.float32) @ params["head"]
        return found.reshape(len(found), size.n_act, -1)
    query = jnp.broadcast_to(params["query"].astype(jnp.bfloat16), (len(state), *params["query"].shape))
    x = jnp.concatenate([query + state[:, None], state[:, None], tokens(params, batch, cameras)], 1)
    x, _ = jax.lax.scan(layer(size), x, params["layers"])
    return normed(x[:, : size.n_act]).astype(jnp.float32) @ params["head"]


def trainer(size: Size, cameras: tuple[str, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A step ``(params, moments, number, batch) -> (params, moments, loss)``, and the loss alone."""
    import jax
    import jax.numpy as jnp

    rate = 0.3 / size.width  # wider ones learn at smaller steps

    def loss(params: Any, batch: dict[str, Any]) -> Any:
        wrong = (predict(size, params, batch, cameras) - batch["action"]) ** 2
        real = batch["action_valid"][..., None]
        return jnp.where(real, wrong, 0).sum() / jnp.maximum(real.sum() * wrong.shape[-1], 1)

    def step(params: Any, moments: Any, number: Any, batch: dict[str, Any]) -> Any:
        value, slope = jax.value_and_grad(loss)(params, batch)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], slope)
        second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, moments[1], slope)
        fair = rate * jnp.sqrt(1 - 0.99**number) / (1 - 0.9**number) * jnp.minimum(1.0, number / 100)
        params = jax.tree.map(lambda p, m, v: p - fair * m / (jnp.sqrt(v) + 1e-8), params, first, second)
        return params, (first, second), value

    return jax.jit(step, donate_argnums=(0, 1)), jax.jit(loss)


class JaxRun:
    """Steps of one policy in JAX."""

    framework = "JAX"

    def __init__(self, size: Size) -> None:
        self.size = size
        self.step, self.loss = trainer(size, CAMERAS)
        self.begin()

    def begin(self) -> None:
        """With nothing learnt."""
        import jax
        import jax.numpy as jnp

        self.number, self.params = 0, jax.tree.map(jnp.asarray, parameters(self.size, JOINTS))
        zeros = jax.tree.map(jnp.zeros_like, self.params)
        self.moments = (zeros, jax.tree.map(jnp.zeros_like, self.params))

    @staticmethod
    def ready(batch: Any) -> dict[str, Any]:
        """A batch as the policy takes it."""
        import jax

        arrays = dict(batch.to_jax())
        arrays["action_valid"] = jax.dlpack.from_dlpack(batch.valid["action"])
        return arrays

    def go(self, batch: dict[str, Any]) -> Any:
        """One step; its loss, which nobody has waited for."""
        self.number += 1
        self.params, self.moments, loss = self.step(self.params, self.moments, float(self.number), batch)
        return loss

    def judge(self, batch: dict[str, Any]) -> float:
        """The loss alone."""
        return float(self.loss(self.params, batch))
