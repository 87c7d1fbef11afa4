"""What tests of the path share: a cache inside the checkout, the command line in this process, small bundles."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from workspace import LONGEST, ROOT, Command, Ended

# Before torch is imported anywhere, and for every process that a test starts: two cores serve several workers.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EDGEVISION_CACHE", str(ROOT / "build" / "cache"))

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


@pytest.fixture
def edgevision(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """The command line in this process, from arguments to exit code."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ended:
        from edgevision.cli.main import main

        monkeypatch.setattr(sys, "argv", ["edgevision", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        return Ended(int(stop.value.code or 0), captured.out, captured.err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verified bundle of `tiny:classifier` for ONNX Runtime. Not to be changed: copy it."""
    return _export("tiny:classifier", tmp_path_factory)


@pytest.fixture(scope="session")
def scanner_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of `tiny:scanner`, whose graph has every custom operator of MobileMamba."""
    return _export("tiny:scanner", tmp_path_factory)


def _export(model: str, factory: pytest.TempPathFactory) -> Path:
    from edgevision import export

    return export(model, target="ort", out=factory.mktemp("bundles") / model.replace(":", "-"))
