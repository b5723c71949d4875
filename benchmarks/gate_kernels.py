"""Machine code of the kernels, counted without a GPU: NVRTC compiles, and a cubin says how long each kernel is."""

import re
import struct
from typing import Any

ARCH = 90
INSTRUCTION = 16  # bytes, since sm_70
USED = re.compile(r"Compiling entry function '(\w+)'.*?Used (\d+) registers", re.DOTALL)
# One variant of each topic that is in every hot path; the compile check in CI goes through all of them.
WANTED = {"TIME_T": "i64", "STREAMS": "1", "POINT_T": "float", "ACC_T": "float", "INDEX_T": "u32"}


def measure() -> dict[str, Any] | str:
    """Instructions and registers of the main kernels, and the compiler; or why they are not known here."""
    try:
        from cupy.cuda import nvrtc

        version = nvrtc.getVersion()
    except (ImportError, RuntimeError, OSError) as error:
        return f"no CuPy with NVRTC ({type(error).__name__})"
    from robocache.cuda import _module

    code: dict[str, Any] = {}
    for topic, macros in variants():
        code |= compiled(nvrtc, _module.source(topic), f"{topic}.cu", _module.options(macros))
    return {"compiler": ".".join(map(str, version)), "arch": ARCH, "code": dict(sorted(code.items()))}


def variants() -> list[tuple[str, Any]]:
    """The variant of each topic whose macros are as ``WANTED`` says, or the first there is."""
    import importlib

    from ._results import ROOT

    found: dict[str, Any] = {}
    for path in sorted((ROOT / "robocache" / "cuda").glob("*.py")):
        if path.stem.startswith("_"):
            continue
        there = getattr(importlib.import_module(f"robocache.cuda.{path.stem}"), "variants", tuple)()
        for topic, macros in sorted(there):  # some come of sets, in another order every time
            fits = all(WANTED.get(key, value) == value for key, value in macros)
            if fits or topic not in found:
                found.setdefault(topic, macros) if not fits else found.__setitem__(topic, macros)
    return sorted(found.items())


def compiled(nvrtc: Any, text: str, name: str, options: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Instructions and registers of each kernel of one source."""
    program = nvrtc.createProgram(text, name, (), ())
    try:
        nvrtc.compileProgram(program, (*options, "-ftz=true", f"-arch=sm_{ARCH}", "--ptxas-options=-v"))
        registers = {kernel: int(count) for kernel, count in USED.findall(nvrtc.getProgramLog(program))}
        sizes = code_bytes(bytes(nvrtc.getCUBIN(program)))
    finally:
        nvrtc.destroyProgram(program)
    return {k: {"instructions": sizes[k] // INSTRUCTION, "registers": n} for k, n in registers.items()}


def code_bytes(elf: bytes) -> dict[str, int]:
    """Size of each kernel's ``.text`` section in a cubin, which is a 64-bit little-endian ELF file."""
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    sections = [struct.unpack_from("<IIQQQQ", elf, table + k * size) for k in range(count)]
    strings = sections[names][4]
    found = {}
    for section in sections:
        start = strings + section[0]
        label = elf[start : elf.index(b"\0", start)].decode()
        if label.startswith(".text."):
            found[label.removeprefix(".text.")] = section[5]
    return found
