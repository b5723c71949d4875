"""What the documentation shows works: Python blocks run, docstring examples hold, commands and links exist."""

import doctest
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import robocache.ops
from robocache.cli.main import parser

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OPTIONAL = ("torch", "jax", "cupy")


def name(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path, language):
    """(first line, code) of each block."""
    text = path.read_text("utf-8")
    return [(text[: m.start()].count("\n") + 2, m[2]) for m in BLOCK.finditer(text) if m[1] == language]


def missing(code):
    """The optional framework that a block imports and this environment lacks."""
    for framework in OPTIONAL:
        if re.search(rf"^\s*(import|from) {framework}\b", code, re.MULTILINE):
            if importlib.util.find_spec(framework) is not None and (framework != "cupy" or has_gpu()):
                continue
            required = "CUDA" if framework == "cupy" else framework.upper()
            if os.environ.get(f"ROBOCACHE_REQUIRE_{required}") == "1":
                pytest.fail(f"{framework} cannot be used but ROBOCACHE_REQUIRE_{required}=1")
            return framework
    return None


def has_gpu():
    from robocache.cli import backends

    return backends.cuda()[0] is not None


@pytest.fixture
def jax_as_it_was():
    """Pages may turn on 64-bit types; other tests expect the default."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)


@pytest.mark.usefixtures("jax_as_it_was")
@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "python")], ids=name)
def test_python_blocks_run(path, capsys):
    namespace, skipped = {"__name__": "page"}, []
    for line, code in blocks(path, "python"):
        framework = missing(code)
        if framework:
            skipped.append(f"line {line} needs {framework}")
            continue
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)
    if skipped:
        pytest.skip("all other blocks ran; " + "; ".join(skipped))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_commands_exist(path):
    text = path.read_text("utf-8")
    shown = [code for _, code in blocks(path, "bash")] + re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
    commands = next(action for action in parser()._actions if action.choices).choices
    for code in shown:
        for match in re.finditer(r"(?:^|&& |\n|python3? -m )robocache ([\w-]+)((?: --[\w-]+)*)", code):
            assert match[1] in commands, f"{name(path)} shows `robocache {match[1]}`, which does not exist"
            known = {flag for action in commands[match[1]]._actions for flag in action.option_strings}
            assert set(match[2].split()) <= known


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", BLOCK.sub("", path.read_text("utf-8"))):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"{name(path)} links to {target}"


def test_readme_gives_these_commands_alone():
    assert [code.strip() for _, code in blocks(ROOT / "README.md", "bash")] == [
        "python3 -m pip install . && robocache demo",
        "python3 -m pip install '.[lerobot,plot]' && robocache view PATH --rate 20",
        "python3 -m pip install '.[test]' && python3 -m pytest",
    ]


@pytest.mark.parametrize("module", sorted(m.name for m in pkgutil.iter_modules(robocache.ops.__path__)))
def test_docstring_examples(module):
    found = doctest.testmod(importlib.import_module(f"robocache.ops.{module}"))
    assert found.failed == 0
    if not module.startswith("_"):
        assert found.attempted > 0, f"robocache.ops.{module} shows no example"


def test_pictures_are_drawn_and_shown(tmp_path):
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("robocache_docs_pictures", ROOT / "docs" / "pictures.py")
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    pictures.main(tmp_path)
    drawn = {path.name: path for path in tmp_path.iterdir()}
    assert set(drawn) == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    pages = "".join(path.read_text("utf-8") for path in PAGES)
    for file, path in drawn.items():
        assert f"(pictures/{file})" in pages, f"no page shows {file}"
        assert "<dc:date>" not in path.read_text("utf-8")
        assert path.stat().st_size < 150_000
