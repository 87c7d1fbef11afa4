"""A cache that the tests of one run share, and the graphs as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir
import pytest
from nets import conv_net, scan_net


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEVISION_CACHE", str(tmp_path_factory.getbasetemp() / "edgevision-cache"))
        yield


@pytest.fixture
def plain() -> ir.Model:
    return conv_net()


@pytest.fixture
def scans() -> ir.Model:
    return scan_net()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    return folder
