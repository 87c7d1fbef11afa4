"""Where the official numbers come from: fixtures and their deterministic weights, outside the repository."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """The module that makes the fixtures' weights and inputs, and compares outputs with them."""
    path = SHARED / "golden" / "golden.py"
    if not path.is_file():
        pytest.skip("the shared folder with the golden fixtures is absent")
    spec = importlib.util.spec_from_file_location("golden", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def read_fixture() -> Callable[[str | None], Mapping[str, Any]]:
    """A fixture by name; the test is skipped where it is not at hand."""

    def read(name: str | None) -> Mapping[str, Any]:
        path = SHARED / "golden" / f"{name}.json"
        if not path.is_file():
            pytest.skip(f"no golden fixture {name}")
        fixture: Mapping[str, Any] = json.loads(path.read_text())
        return fixture

    return read
