"""What goes along to a device, found out before anything is sent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from small_bundle import small_bundle

from edgevision.devices import kit as kit_module
from edgevision.devices.kit import kit_for
from edgevision.devices.named import NamedDevice
from edgevision.errors import DeviceError
from edgevision.manifest import read_manifest


def test_a_kernel_library_from_before_an_operator_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would run the operator's body, or refuse the model as if ONNX Runtime were too old."""
    bundle = small_bundle(tmp_path / "small")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["artifact"]["library"] = "ops.so"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (bundle / "ops.so").write_bytes(b"\0EvDWT\0EvLater\0")
    with (bundle / "model.onnx").open("ab") as model:
        model.write(b"EvLater EvDWT")
    (tmp_path / "old.so").write_bytes(b"\0EvDWT\0")
    monkeypatch.setattr(kit_module, "kernel_library", lambda _arch: tmp_path / "old.so")
    device = NamedDevice(name="box", address="ssh://x", onnxruntime="x", runner=sys.executable)
    with pytest.raises(DeviceError, match="has no kernel of EvLater") as caught:
        kit_for(bundle, read_manifest(bundle / "manifest.json"), device, "sparc64")
    assert "make runner" in caught.value.mend
