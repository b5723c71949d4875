"""The rules of the house, proved on the source: direction of imports, equal twins, public names, sizes, the wheel."""

import ast
import configparser
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
import types
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from functools import cache
from pathlib import Path

import pytest

import robocache

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "robocache"

# What each layer may import. "" is robocache/__init__.py.
BACKENDS = {"cpu", "cuda", "interop"}
MAY_IMPORT = {
    "_core": set(),
    "cpu": {"_core"},
    "cuda": {"_core"},
    "interop": {"_core"},
    "ops": BACKENDS | {"_core"},
    "datasets": BACKENDS | {"ops", "_core"},
    "loaders": BACKENDS | {"store", "datasets", "ops", "_core"},
    "store": BACKENDS | {"datasets", "ops", "_core"},
    "distributed": BACKENDS | {"", "loaders", "store", "datasets", "ops", "_core"},
    "view": BACKENDS | {"loaders", "store", "datasets", "ops", "_core"},
    "errors": {"_core"},
    "rotations": {"ops"},
    "": {"loaders", "store", "ops", "errors", "rotations", "_core"},
    "cli": BACKENDS | set(" errors rotations view distributed loaders store datasets ops _core".split(" ")),
    "__main__": {"cli"},
}
ORACLES_MAY_IMPORT = {"numpy", "scipy", "ml_dtypes", "oracles", "math", "fractions", "decimal", "itertools", "warnings"}
HEAVY = {"cupy", "numba", "torch", "jax", "tensorflow", "scipy", "matplotlib", "rerun", "pandas"}

PYTHON_LINES, CUDA_LINES, FUNCTION_LINES = 320, 260, 60
IGNORED = {".git", "build", "dist", "__pycache__", ".venv", "venv", ".hypothesis"}
SECTIONS = ("Parameters", "Returns", "Raises", "Notes", "Examples")


def files(*suffixes: str, under: Path = ROOT) -> list[Path]:
    """Files of the checkout, without what building and checking leave behind."""
    return sorted(
        path
        for path in under.rglob("*")
        if path.is_file()
        and (path.suffix in suffixes or not suffixes)
        and not any(part in IGNORED or part.endswith(("_cache", ".egg-info")) for part in path.relative_to(ROOT).parts)
    )


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def is_module(module: str) -> bool:
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imports(path: Path, package: str) -> Iterator[str]:
    """Absolute names of the modules that a file imports, wherever in the file. ``package`` resolves the dots."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}" if is_module(f"{base}.{alias.name}") else base


def forbidden_imports(path: Path, module: str, package: str) -> list[str]:
    own = layer(module)
    used = {m for m in imports(path, package) if m.partition(".")[0] == "robocache"}
    return sorted(m for m in used if layer(m) != own and layer(m) not in MAY_IMPORT[own])


@pytest.mark.parametrize("path", files(".py", under=PACKAGE), ids=name)
def test_imports_go_one_way(path):
    module = dotted(path)
    assert layer(module) in MAY_IMPORT, f"{module} is in no layer that docs/decisions/0001-layout.md knows"
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    assert not forbidden_imports(path, module, package)


def test_a_wrong_import_is_seen(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text(
        "def f():\n    from .._core import errors\n    from ..ops import _dispatch\n    import robocache.cuda\n"
    )
    assert forbidden_imports(planted, "robocache.cpu.planted", "robocache.cpu") == [
        "robocache.cuda",
        "robocache.ops._dispatch",
    ]


def naming(pattern: str) -> set[str]:
    return {name(path) for path in files(".py", under=PACKAGE) if re.search(pattern, path.read_text("utf-8"))}


def test_imports_by_name_happen_where_they_may():
    command = {path for path in naming("import_module") if path.startswith("robocache/cli/")}  # asks what is installed
    homes = {f"robocache/{home}.py" for home in ("__init__", "ops/_dispatch", "datasets/_registry")}
    assert naming("import_module|__import__") - command <= homes


def test_only_one_module_names_rawmodule():
    doctor = {
        path for path in naming("RawKernel") if path.startswith("robocache/cli/doctor")
    }  # probes without our sources
    assert naming("Raw(Module|Kernel)") - doctor == {"robocache/cuda/_module.py"}


def test_oracles_stand_apart():
    for path in files(".py", under=ROOT / "tests" / "oracles"):
        roots = {module.partition(".")[0] for module in imports(path, "oracles")} - {"", "collections", "typing"}
        assert roots <= ORACLES_MAY_IMPORT, f"{name(path)} imports {sorted(roots - ORACLES_MAY_IMPORT)}"


def topics(backend: str) -> set[str]:
    return {path.stem for path in (PACKAGE / backend).glob("*.py") if not path.stem.startswith("_")}


def signatures(path: Path) -> dict[str, str]:
    """Public functions of a module, with their parameters, kinds and defaults but without annotations."""
    found = {}
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            bare = ast.parse(ast.unparse(node.args).join(("def f(", "): pass"))).body[0].args
            for argument in ast.walk(bare):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
            found[node.name] = ast.unparse(bare)
    return found


def test_every_dispatched_topic_has_both_twins():
    called = re.compile(r"\btwin\(\s*[\w.]+,\s*([^)]*?),?\s*\)")
    asked = {
        t
        for p in files(".py", under=PACKAGE / "ops")
        if p.stem != "_dispatch"
        for t in called.findall(p.read_text("utf-8"))
    }
    assert asked
    assert {topic.strip("\"'") for topic in asked} <= topics("cpu") & topics("cuda")


@pytest.mark.parametrize("topic", sorted(topics("cpu") & topics("cuda")))
def test_twins_have_equal_signatures(topic):
    cuda = signatures(PACKAGE / "cuda" / f"{topic}.py")
    cuda.pop("variants", None)  # what .ci/compile_kernels.py compiles
    assert signatures(PACKAGE / "cpu" / f"{topic}.py") == cuda


def test_all_matches_the_public_names():
    listed = set(robocache.__all__)
    assert len(listed) == len(robocache.__all__)
    assert all(hasattr(robocache, public) for public in listed)
    present = {
        key
        for key, value in vars(robocache).items()
        if not key.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert present <= listed


def section(doc: str, title: str) -> str | None:
    """Text of one numpydoc section."""
    found = re.search(rf"^{title}\n-{{3,}}\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    return found and found[1]


EXPORTS = getattr(robocache, "__all__", ())  # its absence fails above, not the collection of this file
PUBLIC_CALLABLES = sorted(n for n in EXPORTS if not n.startswith("_") and callable(getattr(robocache, n)))


@pytest.mark.parametrize("public", PUBLIC_CALLABLES)
def test_public_names_are_specified(public):
    thing = getattr(robocache, public)
    doc = inspect.getdoc(thing) or ""
    assert doc.strip(), f"{public} has no docstring"
    if isinstance(thing, type):
        return
    required = ("Parameters", "Returns", "Notes") if inspect.signature(thing).parameters else ("Returns", "Notes")
    assert [title for title in required if section(doc, title) is None] == []
    order = [title for title in re.findall(r"^(\S.*)\n-{3,}$", doc, re.MULTILINE) if title in SECTIONS]
    assert order == [title for title in SECTIONS if title in order]
    entries = re.findall(r"^(\S[^:\n]*)", section(doc, "Parameters") or "", re.MULTILINE)
    described = {parameter.strip(" *") for entry in entries for parameter in entry.split(",")}
    assert set(inspect.signature(thing).parameters) == described


def test_importing_robocache_alone_loads_nothing_at_all():
    program = "import sys, robocache; print(*(n for n in sys.modules if n.startswith(('numpy', 'robocache.'))))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_importing_robocache_loads_nothing_heavy():
    program = (
        "import sys, robocache\n"
        "for public in robocache.__all__: getattr(robocache, public)\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_configuration_is_split():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    assert not [table for table in setup.sections() if table.split(".")[0] in ("metadata", "options")]
    assert setup.has_section("tool:pytest")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    assert set(tools) == {"ruff", "setuptools"}
    strangers = re.compile(r"\.?(pytest|mypy|tox)\.(ini|toml)|\.coveragerc|setup\.py")
    assert not [path.name for path in ROOT.iterdir() if strangers.fullmatch(path.name)]


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    copy = tmp_path / "checkout"  # of its own, so that a stale build folder cannot help
    shutil.copytree(PACKAGE, copy / "robocache", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for item in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / item, copy)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir")
    ran = subprocess.run([*pip, tmp_path, copy], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (path,) = tmp_path.glob("*.whl")
    assert path.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(path) as wheel:
        packed = {entry for entry in wheel.namelist() if ".dist-info/" not in entry}
        (metadata,) = (wheel.read(entry) for entry in wheel.namelist() if entry.endswith(".dist-info/METADATA"))
        scripts = next(wheel.read(e).decode() for e in wheel.namelist() if e.endswith(".dist-info/entry_points.txt"))
        shipped = {
            name(source): source for source in files(under=PACKAGE) if source.suffix not in (".pyc", ".nbc", ".nbi")
        }
        assert packed == set(shipped)
        assert any(entry.endswith(".cuh") for entry in packed)
        assert all(wheel.read(entry) == source.read_bytes() for entry, source in shipped.items())
    assert message_from_bytes(metadata)["Version"] == robocache.__version__
    assert message_from_bytes(metadata)["License-Expression"] == "Apache-2.0"
    assert "robocache = robocache.cli.main:main" in scripts


@pytest.mark.parametrize("path", files(".py", under=PACKAGE), ids=name)
def test_no_print_bare_except_or_assert(path):
    found = []
    for node in ast.walk(tree(path)):
        printing = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if (printing and layer(dotted(path)) != "cli") or isinstance(node, ast.Assert):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: bare except")
    assert not found


def test_names_say_what_a_file_is_about():
    vague = re.compile(r"_*(utils?|helpers?|misc|common)|.*_(v\d+|new|old|fast|final|optimi[sz]ed)")
    modules = [path for path in files(".py") if vague.fullmatch(path.stem) or vague.fullmatch(path.parent.name)]
    kernels = [path for path in files(".cu") if vague.fullmatch(path.stem)]
    assert not [name(path) for path in modules + kernels]


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring: a public one is a specification, as long as it must be."""
    doc = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
    return node.end_lineno - node.lineno + 1 - doc


def test_files_and_functions_are_short():
    most = {".py": PYTHON_LINES, ".cu": CUDA_LINES, ".cuh": CUDA_LINES}
    counts = {path: len(path.read_text("utf-8").splitlines()) for path in files(*most)}
    long = [f"{name(p)}: {n} lines, at most {most[p.suffix]}" for p, n in counts.items() if n > most[p.suffix]]
    for path in files(".py"):
        functions = [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        long += [
            f"{name(path)}:{f.lineno} {f.name}: {body_lines(f)} lines"
            for f in functions
            if body_lines(f) > FUNCTION_LINES
        ]
    assert not long


def test_nothing_names_the_machine_it_was_written_on():
    machine = re.compile(r"(?<![\w.*~/-])/(?:work|root|home|opt|Users)(?:/|\b)")
    text = (".py", ".cu", ".cuh", ".md", ".toml", ".cfg", ".json", ".yaml", ".yml", ".txt", "")
    found = []
    for path in files(*text):
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if machine.search(line):
                found.append(f"{name(path)}:{number}: {line.strip()}")
    assert not found
