"""The one place where memory changes owner, framework or device.

``receive`` takes the arrays of one call in whatever framework they come, checks that they live on one device, and
gives NumPy or CuPy views of the same memory. The ``Call`` it returns is a context (device and stream) in which the
operation runs, and hands results back in the framework of the first array. No framework is imported here unless the
caller's own array proves that it is loaded already.
"""

import math
import sys
import warnings
from typing import Any

import numpy as np

from ._core import dtypes
from ._core.errors import ArgumentError, BackendError, DataWarning, DeviceError, DTypeError

ALIGNMENT = 64  # bytes; JAX copies CPU buffers that are less aligned

Place = tuple[str, int]  # ("cpu", 0) or ("cuda", index)

_kinds: dict[type, str] = {}


def kind(array: Any) -> str:
    """Framework of an array: numpy, cupy, torch, jax, dlpack (anything else that speaks it) or host (lists)."""
    found = _kinds.get(type(array))
    if found is None:
        found = _kinds[type(array)] = _classify(array)
    return found


def _classify(array: Any) -> str:
    for cls in type(array).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in ("numpy", "cupy", "torch"):
            return root if hasattr(array, "__dlpack__") or root == "numpy" else "host"
        if root in ("jax", "jaxlib"):
            return "jax"
    return "dlpack" if hasattr(array, "__dlpack__") else "host"


def place(name: str, array: Any) -> Place:
    """Device of an array."""
    framework = kind(array)
    if framework in ("numpy", "host"):
        return ("cpu", 0)
    if framework == "cupy":
        return ("cuda", array.data.device_id)
    if framework == "jax" and hasattr(array, "devices"):
        return _place_jax(name, array)
    if framework == "torch" and array.device.type not in ("cpu", "cuda"):
        raise DeviceError(f"{name} lives on torch device {array.device}; RoboCache takes CPU and CUDA arrays")
    code, index = array.__dlpack_device__()
    if code in (1, 3):  # kDLCPU, kDLCUDAHost
        return ("cpu", 0)
    if code in (2, 13):  # kDLCUDA, kDLCUDAManaged
        return ("cuda", index)
    raise DeviceError(f"{name} lives on DLPack device {code}; RoboCache takes CPU and CUDA arrays. Move it there first")


def _place_jax(name: str, array: Any) -> Place:
    try:
        devices = array.devices()
    except Exception as error:
        raise BackendError(
            f"{name} is traced by jax.jit; RoboCache runs outside of it. Call it before jit, or via jax.pure_callback"
        ) from error
    if len(devices) != 1:
        raise DeviceError(f"{name} is spread over {len(devices)} JAX devices; pass one shard at a time")
    (device,) = devices
    if device.platform not in ("cpu", "gpu", "cuda"):
        raise DeviceError(f"{name} lives on a JAX {device.platform} device; RoboCache takes CPU and CUDA arrays")
    return ("cpu", 0) if device.platform == "cpu" else ("cuda", device.local_hardware_id or 0)


class Call:
    """Where one operation runs and how its results travel back. Use as a context around the work."""

    __slots__ = ("_device", "_given", "_stream", "backend", "device", "framework", "namespace")

    def __init__(self, backend: str, device: int, framework: str, namespace: Any = None) -> None:
        self.backend = backend
        self.device = device
        self.framework = framework
        self.namespace = namespace
        self._device = self._stream = None
        self._given: list[tuple[Any, Any]] = []
        if backend == "cuda":
            import cupy

            if cupy.cuda.runtime.getDevice() != device:
                self._device = cupy.cuda.Device(device)
            if framework == "torch":  # results must be ordered with the caller's own work
                current = sys.modules["torch"].cuda.current_stream(device).cuda_stream
                self._stream = borrowed_stream(current, device)

    def __enter__(self) -> "Call":
        if self._device is not None:
            self._device.__enter__()
        if self._stream is not None:
            self._stream.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._stream is not None:
            self._stream.__exit__(*error)
        if self._device is not None:
            self._device.__exit__(*error)

    @property
    def xp(self) -> Any:
        """NumPy or CuPy."""
        if self.backend == "cpu":
            return np
        import cupy

        return cupy

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """Uninitialised, C-contiguous array that the caller's framework can take over without a copy."""
        if self.backend == "cpu":
            return aligned_empty(shape, dtype) if self.framework == "jax" else np.empty(shape, dtype)
        if self.framework != "torch":
            return self.xp.empty(shape, dtype)
        # torch's own allocator knows torch's streams and the private pool of a graph that torch captures.
        torch = sys.modules["torch"]
        tensor = torch.empty(shape, dtype=getattr(torch, np.dtype(dtype).name), device=f"cuda:{self.device}")
        array = self.xp.from_dlpack(tensor)
        self._given.append((array, tensor))
        return array

    def give(self, array: Any) -> Any:
        """``array`` in the caller's framework, same memory. Call it inside the context: exports order streams there."""
        if self.framework in ("numpy", "cupy", "host"):
            return array
        if self.framework == "torch":
            for mine, tensor in self._given:
                if mine is array:
                    return tensor
            return _to_torch(array)
        if self.framework == "jax":
            return _to_jax(array)
        return self.namespace.from_dlpack(array)


def receive(**arrays: Any) -> tuple[Call, list[Any]]:
    """Native views of the arguments (None stays None) and the call that owns them.

    The first array given decides backend, device and the framework of the results.
    """
    present = [(name, array) for name, array in arrays.items() if array is not None]
    name, first = present[0]
    framework = kind(first)
    home = place(name, first)
    for other_name, other in present[1:]:
        where = place(other_name, other)
        if where != home:
            raise DeviceError(
                f"{other_name} lives on {_spell(where)} but {name} on {_spell(home)}; "
                "RoboCache never moves data by itself. Move one of them"
            )
    if home[0] == "cuda":
        _require_cupy(name, first)
    call = Call(home[0], home[1], framework, _namespace(first) if framework == "dlpack" else None)
    if framework == "cupy" and all(kind(a) == "cupy" for _, a in present):
        return call, list(arrays.values())
    with call:
        return call, [None if a is None else _view(n, a, call) for n, a in arrays.items()]


class _Handle:
    """A stream of another library, as the CUDA stream protocol has it."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self._pointer)


def borrowed_stream(pointer: int, device: int) -> Any:
    """CuPy's view of a stream that another library owns."""
    import cupy

    if hasattr(cupy.cuda.Stream, "from_external"):  # CuPy 14.2 and later
        return cupy.cuda.Stream.from_external(_Handle(pointer))
    return cupy.cuda.ExternalStream(pointer, device)


def writable(name: str, out: Any) -> None:
    """Refuse an output that cannot be written in place."""
    framework = kind(out)
    if framework == "jax":
        raise ArgumentError(f"{name} is a JAX array, which cannot be written; leave {name} out")
    if framework == "host":
        raise ArgumentError(f"{name} must be an array, not {type(out).__name__}")
    if framework == "numpy" and not out.flags.writeable:
        raise ArgumentError(f"{name} is read-only; pass a writable array")


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """NumPy array whose first byte is 64-byte aligned, so that JAX can take it without a copy."""
    dtype = np.dtype(dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes].view(dtype).reshape(shape)


def to_device(array: Any, device: int) -> Any:
    """A copy of a NumPy array on a GPU; the caller asked for it."""
    import cupy

    with cupy.cuda.Device(device):
        return cupy.asarray(array)


def _spell(where: Place) -> str:
    return "the CPU" if where[0] == "cpu" else f"GPU {where[1]}"


def _require_cupy(name: str, array: Any) -> None:
    try:
        import cupy  # noqa: F401
    except ImportError as error:
        torch = sys.modules.get("torch")
        version = getattr(getattr(torch, "version", None), "cuda", None) or "12"
        extra = f"cuda{version.split('.')[0]}"
        raise BackendError(
            f"{name} ({type(array).__module__}.{type(array).__name__}) lives on a GPU, which needs CuPy. "
            f"Install it with: python3 -m pip install 'robocache[{extra}]'"
        ) from error


def _namespace(array: Any) -> Any:
    """Module whose ``from_dlpack`` builds arrays of the same kind."""
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    module = sys.modules.get(type(array).__module__.partition(".")[0])
    if hasattr(module, "from_dlpack"):
        return module
    raise DTypeError(
        f"{type(array).__name__} exports DLPack but its package has no from_dlpack; pass a NumPy or CuPy view of it"
    )


def _view(name: str, array: Any, call: Call) -> Any:
    """NumPy or CuPy view of the same memory."""
    framework = kind(array)
    if framework in ("numpy", "host"):
        return np.asarray(array)
    if framework == "cupy":
        return array
    if framework == "torch":
        return _from_torch(name, array, call)
    if framework == "jax" and call.backend == "cpu":
        return np.asarray(array)  # the buffer protocol: zero-copy, and the only way that knows bfloat16
    return call.xp.from_dlpack(array)


def _from_torch(name: str, tensor: Any, call: Call) -> Any:
    torch = sys.modules["torch"]
    if tensor.requires_grad:
        raise ArgumentError(f"{name} requires grad, which RoboCache does not track; pass {name}.detach()")
    if tensor.layout != torch.strided:
        raise ArgumentError(f"{name} has layout {tensor.layout}; pass {name}.to_dense()")
    if tensor.dtype != torch.bfloat16 and not hasattr(np, str(tensor.dtype).removeprefix("torch.")):
        raise DTypeError(f"{name} has dtype {tensor.dtype}, which no array here can have; convert it first")
    if call.backend == "cuda":
        return call.xp.from_dlpack(tensor)
    if tensor.dtype == torch.bfloat16:  # NumPy has no bfloat16 of its own
        return tensor.view(torch.int16).numpy().view(dtypes.bfloat16)
    return tensor.numpy()  # as DLPack, but writable with every version of torch and NumPy


def _plain(array: Any) -> Any:
    """What any DLPack consumer takes: positive strides, writable, no dates."""
    if array.dtype.kind in "mM":
        array = array.view(np.int64)
    if not array.flags.c_contiguous or (isinstance(array, np.ndarray) and not array.flags.writeable):
        array = array.copy()  # a negative stride aborts the process in torch; torch would write into read-only memory
    return array


def _to_torch(array: Any) -> Any:
    torch = sys.modules["torch"]
    array = _plain(array)
    if array.dtype == dtypes.bfloat16:
        return torch.from_dlpack(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_dlpack(array)


def _to_jax(array: Any) -> Any:
    jax = sys.modules["jax"]
    array = _plain(array)
    narrow = {"int64": np.int32, "float64": np.float32, "uint64": np.uint32}.get(str(array.dtype))
    if narrow is not None and not jax.config.jax_enable_x64:
        warnings.warn(
            f"JAX holds no {array.dtype} unless jax_enable_x64 is on; the result is narrowed to {np.dtype(narrow)}",
            DataWarning,
            stacklevel=4,
        )
        array = array.astype(narrow)
    if array.dtype == dtypes.bfloat16 and isinstance(array, np.ndarray):
        return jax.numpy.asarray(array)  # NumPy cannot export bfloat16 by DLPack; this is the one copy
    return jax.dlpack.from_dlpack(array)
