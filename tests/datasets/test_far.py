"""Where a URL is kept, which package it needs, what is shown of it."""

import io
import sys
from pathlib import Path

import pytest

fsspec = pytest.importorskip("fsspec")

from robocache.datasets import fetch, open_dataset  # noqa: E402
from robocache.datasets._far import Far  # noqa: E402
from robocache.datasets._mirror import cache_folder  # noqa: E402
from robocache.errors import ArgumentError, BackendError  # noqa: E402
from tests.datasets import faulty  # noqa: E402
from tests.datasets.faulty import FILES, Faulty  # noqa: E402


def test_the_cache_is_where_it_was_said(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ROBOCACHE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/invalid")
    assert cache_folder(None) == tmp_path / "home/.cache/robocache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(None) == tmp_path / "xdg/robocache"
    monkeypatch.setenv("ROBOCACHE_CACHE", str(tmp_path / "own"))
    assert cache_folder(None) == tmp_path / "own"
    assert cache_folder("~/here") == tmp_path / "home/here"
    assert cache_folder("there") == Path.cwd() / "there"


def test_credentials_change_nothing_and_places_do():
    plain = Far("s3://bucket/set", None).digest
    assert plain == Far("s3://bucket/set/", {"key": "me", "secret": "x", "token": object(), "anon": False}).digest
    others = [
        Far("s3://bucket/set", {"endpoint_url": "http://here"}),
        Far("s3://bucket/sets", {}),
        Far("gs://b/set", {}),
    ]
    assert len({plain, *(other.digest for other in others)}) == 4


@pytest.mark.parametrize(
    "url, shown, name",
    [
        ("sftp://me:pass@host/a/set", "sftp://host/a/set", "set"),
        ("https://host/set.hdf5?signature=pass", "https://host/set.hdf5", "set.hdf5"),
        ("hf://datasets/org/name@pr", "hf://datasets/org/name@pr", "name@pr"),
        ("s3://bucket/..", "s3://bucket/..", "dataset"),
        ("s3://bucket/a b\\c", "s3://bucket/a b\\c", "a_b_c"),
    ],
)
def test_no_password_is_shown(url, shown, name):
    far = Far(url, None)
    assert (far.url, far.name) == (shown, name)


@pytest.mark.parametrize(
    "url, module, told",
    [
        ("s3://bucket/set", "s3fs", "s3fs"),
        ("gs://bucket/set", "gcsfs", "gcsfs"),
        ("hf://datasets/org/name", "huggingface_hub", "huggingface_hub"),
        ("memory://set", "fsspec.core", r"robocache\[remote\]"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, tmp_path, url, module, told):
    for protocol in ("s3", "gs", "hf"):
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=told):
        open_dataset(url, cache=tmp_path)


def test_an_unknown_protocol(tmp_path):
    with pytest.raises(ArgumentError, match="nonsense"):
        open_dataset("nonsense://bucket/set", cache=tmp_path)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal, seconds, shown", [(True, 1.0, True), (True, 0.0, False), (False, 1.0, False)])
def test_progress_is_shown_on_a_terminal_after_a_second(tmp_path, monkeypatch, terminal, seconds, shown):
    faulty.register()
    Faulty().put_all(FILES)
    ticks = iter(range(10**6))
    monkeypatch.setattr("tqdm.std.time", lambda: next(ticks) * seconds)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)  # no thread of its own
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    fetch("faulty://set", cache=tmp_path)
    assert ("114" in sys.stderr.getvalue()) == shown
