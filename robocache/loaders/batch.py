"""What a loader yields: named arrays that lie in one piece of memory."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import interop
from .._core.errors import BackendError
from .filling import Filled
from .layout import Cell, Layout


class Views(Mapping[str, Any]):
    """Arrays by name, made when asked for."""

    __slots__ = ("_cells", "_lead", "_made", "_memory", "_seen")

    def __init__(
        self, cells: Mapping[str, Cell], memory: Any, lead: Mapping[str, tuple[int, ...]], seen: Callable[[], None]
    ) -> None:
        self._cells, self._memory, self._lead, self._seen = cells, memory, lead, seen
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        self._seen()
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._cells[name].view(self._memory, self._lead)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


class Batch(Views):
    r"""A batch: a mapping from names of streams to arrays.

    Observation streams have shape (batch, n_obs, \*shape), action streams (batch, n_act, \*shape). Of whole episodes it
    is (batch, steps, \*shape), or with ``pad=None`` (all steps, \*shape), cut by ``offsets``. Pictures are
    (height, width, channel), or (channel, height, width) where that layout was asked for. Types are those of the
    streams, but for what was normalised, which is floating. Text is no array: a stream of it gives a list of one str a
    sample, at its anchor, on the CPU wherever the arrays are.

    Attributes
    ----------
    valid : mapping of str to array of bool
        By stream, of the leading shape of its array: False where a step is padding, repeated from the end of its
        episode, or where the stream has a gap.
    source : NumPy array of int32, shape (batch,)
        Which of the loader's sources each sample comes from.
    item : NumPy array of int64, shape (batch,)
        The window of that source, or its how manieth episode with steps.
    episode : NumPy array of int64, shape (batch,)
        Number of the episode there.
    anchor : NumPy array of int64, shape (batch,)
        The current step, counted through all episodes of the source; of whole episodes the first one.
    language : list of str, or None
        What ``batch["language"]`` gives, if the loader was asked for that stream.
    offsets : NumPy array of int64, shape (batch + 1,), or None
        Where each episode begins in the arrays of a batch of whole episodes that are not padded.
    size : int
        Samples. Fewer than ``batch_size`` at the end of an epoch without ``drop_last``, or where some were skipped.
    device : int or None
        GPU that the arrays live on; None for NumPy arrays.

    Notes
    -----
    All arrays are views of one piece of memory, which the loader uses again once no array, tensor or view of any of
    them is left, and not before. On a GPU the stream that is current when a batch or an array of it is taken (CuPy's
    own, and PyTorch's) waits for the copy; the host does not. Use the arrays on those streams, or take them anew where
    another stream is current: then that one waits, and the memory is not used again before its work is done.
    """

    __slots__ = ("_keep", "device", "offsets", "valid")

    def __init__(self, layout: Layout, memory: Any, found: Filled, buffer: Any = None) -> None:
        seen = _nothing if buffer is None else buffer.receive
        super().__init__(layout.values, memory, found.lead, seen)
        self.valid = Views(layout.masks, memory, found.lead, seen)
        self._keep, self.offsets = (buffer, found), found.offsets
        self.device: int | None = None if buffer is None else buffer.device

    source = property(lambda self: self._keep[1].source)
    item = property(lambda self: self._keep[1].item)
    episode = property(lambda self: self._keep[1].episode)
    anchor = property(lambda self: self._keep[1].anchor)
    language = property(lambda self: self._keep[1].texts.get("language"))
    size = property(lambda self: len(self._keep[1].item))

    def __getitem__(self, name: str) -> Any:
        texts = self._keep[1].texts
        return texts[name] if name in texts else super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        yield from super().__iter__()
        yield from self._keep[1].texts

    def __len__(self) -> int:
        return super().__len__() + len(self._keep[1].texts)

    def __repr__(self) -> str:
        where = "" if self.device is None else f", device={self.device}"
        shown = ", ".join(f"{name}: {self._shown(name)}" for name in self)
        return f"Batch({self.size}{where}; {shown})"

    def _shown(self, name: str) -> str:
        if name in self._keep[1].texts:
            return "text"
        cell = self._cells[name]
        return f"{(*self._lead[cell.role], *cell.shape)} {cell.dtype}"

    def numpy(self, *, valid: bool = False) -> dict[str, Any]:
        """NumPy arrays by name; with ``valid`` also the masks, as ``"<name>/valid"``. Text stays a list of str.

        On the CPU they are the arrays themselves, from a GPU copies. # synchronizes
        """
        if self.device is None:
            return self._all(valid, lambda array: array)
        return self._all(valid, lambda array: array.get())

    def to_torch(self, *, valid: bool = False) -> dict[str, Any]:
        """PyTorch tensors by name, over the same memory; with ``valid`` also the masks, as ``"<name>/valid"``.

        Text stays a list of str. On a GPU they are ordered with PyTorch's current stream.

        Raises
        ------
        BackendError
            PyTorch is not installed, or has no CUDA.
        """
        try:
            import torch
        except ImportError as error:
            raise BackendError("to_torch() needs torch; install it with: pip install torch") from error
        if self.device is None:
            return self._all(valid, interop.Call("cpu", 0, "torch").give)
        if not torch.cuda.is_available():
            raise BackendError("to_torch() of a batch on a GPU needs a torch with CUDA; use numpy(), or another torch")
        call = interop.Call("cuda", self.device, "torch")
        with call:  # PyTorch's stream is CuPy's current one: it waits for the copy, and is waited for
            return self._all(valid, call.give)

    def to_jax(self, *, valid: bool = False) -> dict[str, Any]:
        """JAX arrays by name, over the same memory; with ``valid`` also the masks, as ``"<name>/valid"``.

        Text stays a list of str, which no jitted function takes: pop it first. 64-bit types are narrowed with a
        `DataWarning` unless ``jax_enable_x64`` is on. JAX does not tell on which streams it works. One that lets go of
        arrays only when it is done with them is not waited for; with one that lets go at once, which is tried when the
        first such batch comes back, the loader waits for the whole device before it uses the memory again.

        Raises
        ------
        BackendError
            JAX is not installed.
        """
        try:
            import jax  # noqa: F401
        except ImportError as error:
            raise BackendError("to_jax() needs jax; install it with: pip install jax") from error
        if self.device is None:
            return self._all(valid, interop.Call("cpu", 0, "jax").give)
        self._keep[0].jax = True
        call = interop.Call("cuda", self.device, "jax")
        with call:
            return self._all(valid, call.give)

    def _all(self, valid: bool, give: Callable[[Any], Any]) -> dict[str, Any]:
        found = {name: array if isinstance(array, list) else give(array) for name, array in self.items()}
        if valid:
            found |= {f"{name}/valid": give(array) for name, array in self.valid.items()}
        return found


def _nothing() -> None:
    """On the CPU nothing has to be waited for."""


__all__ = ["Batch", "Views"]
