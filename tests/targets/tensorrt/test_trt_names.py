"""Every name our driver uses is in TensorRT's Python bindings: in RTX's here, in those of TensorRT 10 and 11 where given.

For the latter unpack a wheel of `tensorrt-cu13-bindings` and name the folder in EDGEVISION_TENSORRT_BINDINGS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import names_used
import pytest
from nets import needs_rtx
from workspace import children_environment

ONLY_RTX = {"ComputeCapability", "IBuilderConfig.num_compute_capabilities", "IBuilderConfig.set_compute_capability"}
ONLY_ENTERPRISE = {"NetworkDefinitionCreationFlag.PREFER_AOT_PYTHON_PLUGINS"}
BINDINGS = os.environ.get("EDGEVISION_TENSORRT_BINDINGS", "")


def _missing(*arguments: str) -> dict[str, list[str]]:
    command = [sys.executable, str(Path(names_used.__file__)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=children_environment())
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_driver_uses_what_is_looked_for() -> None:
    names = names_used.used()
    assert {"Builder.build_serialized_network", "IExecutionContext.execute_async_v3", "LayerType.PLUGIN_V3"} <= names
    assert names >= ONLY_RTX | ONLY_ENTERPRISE
    assert {"aot_impl", "KernelLaunchParams"} <= names_used.used_of_quick_plugins()
    assert "enqueue" in names_used.overridden()


@needs_rtx
def test_tensorrt_for_rtx_has_them() -> None:
    missing = _missing("rtx")
    assert set(missing["names"]) == ONLY_ENTERPRISE
    assert missing["methods"] == []


@pytest.mark.skipif(not BINDINGS, reason="EDGEVISION_TENSORRT_BINDINGS names no unpacked bindings of TensorRT")
def test_tensorrt_has_them() -> None:
    missing = _missing("tensorrt_bindings", BINDINGS)
    assert set(missing["names"]) == ONLY_RTX
    assert missing["methods"] == []
    assert missing["quick"] == []
