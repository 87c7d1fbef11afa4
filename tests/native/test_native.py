"""Finding, refusing and registering the kernel library, and what the library file itself promises."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import ROOT
from kernel_node import feeds
from single_node import model_of

from edgevision import __version__, native
from edgevision.errors import TargetError
from edgevision.ops.dwt import OPERATOR


def options() -> onnxruntime.SessionOptions:
    made = onnxruntime.SessionOptions()
    made.log_severity_level = 4
    return made


def test_a_registered_kernel_is_preferred_to_the_body(registered: Path, tmp_path: Path) -> None:
    import onnx_ir as ir

    inputs = [np.ones((1, 1, 4, 4), np.float32), np.ones((4, 1, 2, 2), np.float32)]
    serialized = ir.to_proto(model_of(OPERATOR, inputs, {})).SerializeToString()
    outputs = []
    for kernels in (True, False):
        settings = options()
        if kernels:
            assert native.register(settings)
        settings.enable_profiling = True
        settings.profile_file_prefix = str(tmp_path / f"kernels-{kernels}")
        opened = onnxruntime.InferenceSession(serialized, settings, providers=["CPUExecutionProvider"])
        outputs.append(opened.run(None, feeds("EvDWT", inputs))[0])
        profile = Path(opened.end_profiling()).read_text()
        assert ('"op_name" : "EvDWT"' in profile) is kernels
    np.testing.assert_array_equal(*outputs)


def test_without_a_library_the_bodies_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(native.VARIABLE, raising=False)
    monkeypatch.setattr(native, "_installed", lambda: None)
    monkeypatch.setattr(native, "_is_checkout", lambda: False)
    assert native.library_path() is None
    assert native.register(options()) is False
    missing = native.why_not()
    assert missing is not None
    assert "not built" in missing.reason
    assert native.library_version() is None


@pytest.mark.parametrize(
    ("programs", "headers", "reason", "mend"),
    [
        ((), True, "no C++ compiler", "install g++"),
        (("c++",), False, "headers are missing", "ONNXRUNTIME_INCLUDE_DIR"),
        (("c++",), True, "not built", "install"),
    ],
)
def test_what_is_missing_is_named(
    programs: tuple[str, ...], headers: bool, reason: str, mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(native.VARIABLE, raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(native, "_installed", lambda: None)
    monkeypatch.setattr(native, "_is_checkout", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in programs else None)
    monkeypatch.setattr(native, "_header_folders", lambda: [tmp_path])
    if headers:
        (tmp_path / "onnxruntime_c_api.h").touch()
    missing = native.why_not()
    assert missing is not None
    assert reason in missing.reason
    assert mend in missing.mend


def test_an_old_onnxruntime_is_refused_before_it_meets_the_library(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_runtime_version", lambda: "1.20.1")
    with pytest.raises(TargetError, match=r"onnxruntime 1\.20\.1 is older than 1\.21") as caught:
        native.register(options())
    assert "pip install" in caught.value.mend


def test_a_library_that_is_named_must_exist_and_fit(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(native.VARIABLE, str(tmp_path / "absent.so"))
    with pytest.raises(TargetError, match="which is no file"):
        native.register(options())
    broken = tmp_path / "broken.so"
    broken.write_text("not a library")
    monkeypatch.setenv(native.VARIABLE, str(broken))
    with pytest.raises(TargetError, match="cannot be loaded"):
        native.register(options())
    monkeypatch.setenv(native.VARIABLE, str(registered))
    assert native.why_not() is None
    monkeypatch.setattr(native, "library_version", lambda: "0.0.1")
    with pytest.raises(TargetError, match=r"built from edgevision 0\.0\.1"):
        native.register(options())


def test_importing_the_module_loads_nothing_heavy() -> None:
    program = "import sys, edgevision.native; print({'torch', 'onnx', 'numpy', 'onnxruntime'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_library_is_small_self_contained_and_exports_four_names(library: Path, registered: Path) -> None:
    assert library.stat().st_size < 2_000_000
    assert native.library_version() == __version__
    if shutil.which("nm") is None or shutil.which("objdump") is None:
        pytest.skip("needs binutils to look inside")
    symbols = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in symbols.splitlines()}
    assert exported == {"RegisterCustomOps", "EdgevisionOpsVersion", "EdgevisionOpsApiVersion", "EdgevisionOpsSimd"}
    headers = subprocess.run(["objdump", "-p", library], capture_output=True, text=True, check=True).stdout
    needed = {line.split()[1] for line in headers.splitlines() if "NEEDED" in line}
    assert not [name for name in needed if "stdc++" in name or "gcc" in name or "onnxruntime" in name]
    assert ctypes.CDLL(str(library)).EdgevisionOpsApiVersion() == native.OLDEST_ONNXRUNTIME[1]
