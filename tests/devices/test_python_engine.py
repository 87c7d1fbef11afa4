"""Building an engine with our plugins in a Python on the device, behind a real sshd.

The build is TensorRT for RTX's own, which needs no GPU. The timing needs one: a stand-in computes with ONNX Runtime there,
inside our own worker; without it the profile ends, and says why.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import onnx_ir as ir
import pytest
from sshd import Sshd

from edgevision import export
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import NamedDevice
from edgevision.devices.python_engine import write_source
from edgevision.devices.remote_profile import HalfMeasuredError, profile_device
from edgevision.errors import DeviceError
from edgevision.targets.tensorrt import driver

sys.path.append(str(Path(__file__).resolve().parents[1] / "targets" / "tensorrt"))
from nets import needs_rtx, scan_net

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
no_gpu = pytest.mark.skipif(driver.why_no_gpu() is None, reason="this machine has a GPU")
OPTIONS = ProfileOptions(runs=20)
WORKERS = ("installed", "build_engine", "time_engine")

STAND_IN = """
import os, sys
from types import SimpleNamespace
from edgevision.targets.tensorrt import time_engine
from edgevision.targets.tensorrt.runner import Stages, check_engine
from edgevision.targets.tensorrt.worker import serve

assert "edgevision.zip" in time_engine.__file__, time_engine.__file__

class Runner:
    def __init__(self, path):
        import onnxruntime
        check_engine(path)
        assert b"EVKERN01" in path.read_bytes(), "no kernel of ours is in the engine"
        self.session = onnxruntime.InferenceSession("GRAPH")
        self.outputs = [SimpleNamespace(name=o.name) for o in self.session.get_outputs()]
        self.count = 0
    def __call__(self, feeds):
        self.count += 1
        if self.count > LAST:
            os._exit(3)
        self.stages = Stages(copy_in=0.25, compute=2 + self.count % 5 / 100, copy_out=0.5, cuda_graph=True)
        return self.session.run(None, feeds)
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass

time_engine.EngineRunner = Runner
sys.exit(serve(time_engine._work))
"""


def python(
    folder: Path, bundle: Path, *, timed: bool = True, build: bool = True, version: str = "", last: int = 10**9
) -> str:
    """A Python on the device: engines are timed by the stand-in, or not; it may refuse to build, or be another version.

    It has this environment's packages, but not the checkout that an editable installation leads to.
    """
    (folder / "stand_in.py").write_text(
        STAND_IN.replace("GRAPH", str(bundle / "model.trt.onnx")).replace("LAST", str(last))
    )
    packages = Path(str(find_spec("numpy").origin)).parents[1]  # type: ignore[union-attr]
    bare = f'PYTHONPATH="$PYTHONPATH:{packages}" exec {sys.executable} -S'
    told = json.dumps({"python": "3.10.12", "flavor": "enterprise", "version": version, "lacks": None})
    cases = [] if not timed else [f'*time_engine*) shift 2; {bare} {folder}/stand_in.py "$@" ;;']
    cases += ["*build_engine*) echo it must not build >&2; exit 9 ;;"] if not build else []
    cases += [f"*installed*) echo '{told}'; exit ;;"] if version else []
    program = folder / "python"
    program.write_text("\n".join(["#!/bin/sh", 'case "$*" in', *cases, "esac", f'{bare} "$@"']) + "\n")
    program.chmod(0o755)
    return str(program)


def box(server: Sshd, program: str) -> NamedDevice:
    return NamedDevice(name="box", address=server.address, ssh_config=str(server.config), python=program)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    ir.save(scan_net(), folder / "scan.onnx")
    return export(str(folder / "scan.onnx"), target="trt", out=folder / "bundle")


@pytest.fixture(scope="module")
def refused(server: Sshd, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The engine is built on the device; what is said when it cannot be timed there."""
    device = box(server, python(tmp_path_factory.mktemp("python"), bundle, timed=False))
    with pytest.raises(DeviceError) as caught:
        profile_device(bundle, device, OPTIONS)
    return str(caught.value)


@needs_rtx
@needs_triton
@no_gpu
def test_without_a_gpu_the_engine_is_kept_and_the_reason_told(server: Sshd, bundle: Path, refused: str) -> None:
    assert re.search(r"time_engine, step `open the engine`.*no NVIDIA driver", refused)
    kept = bundle / "on_device" / "box"
    record = json.loads((kept / "engine.json").read_text())
    assert record["plugins"] == {"EvSelectiveScan": 2, "EvDWT": 1, "EvIDWT": 1}
    assert record["plugin_layers"] == 4
    assert json.loads((kept / "record.json").read_text())["tensorrt"].endswith("(rtx)")
    assert server.left() == []


@needs_rtx
@needs_triton
@no_gpu
@pytest.mark.usefixtures("refused")
def test_the_kept_engine_is_sent_again_and_timed(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    document = profile_device(bundle, box(server, python(tmp_path, bundle, build=False)), OPTIONS)
    assert document["runtime"]["runner"] == "edgevision in Python"
    assert len(document["latency_ms"]["samples"]) == document["runs"] == 20
    assert document["with_copies_ms"]["p50"] == pytest.approx(document["latency_ms"]["p50"] + 0.75)
    assert document["parity"]["max_abs_over_std"] < 1e-4
    assert document["peak_memory_mib"] > 10
    assert server.left() == []


@needs_rtx
@needs_triton
@no_gpu
@pytest.mark.usefixtures("refused")
def test_what_was_timed_before_it_ended_is_kept(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    dying = box(server, python(tmp_path, bundle, build=False, last=30))
    with pytest.raises(HalfMeasuredError, match="step `time it` ended there with exit code 3") as caught:
        profile_device(bundle, dying, OPTIONS)
    document = caught.value.document
    assert document["runtime"]["name"] == "tensorrt"
    assert 0 < len(document["latency_ms"]["samples"]) == document["runs"] < 30
    assert document["verdict"] == "unstable"
    assert server.left() == []


@needs_rtx
@needs_triton
@no_gpu
@pytest.mark.usefixtures("refused")
def test_an_engine_of_another_tensorrt_is_refused_before_it_is_sent(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    updated = box(server, python(tmp_path, bundle, build=False, version="10.3.0"))
    with pytest.raises(DeviceError, match=r"TensorRT \S+ \(rtx\) where the device has 10\.3\.0 \(enterprise\)"):
        profile_device(bundle, updated, OPTIONS)


@needs_rtx
@needs_triton
def test_what_fails_there_is_told_with_its_step(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    fresh = shutil.copytree(bundle, tmp_path / "fresh", ignore=shutil.ignore_patterns("on_device"))
    with pytest.raises(
        DeviceError, match=r"build_engine, step `start` ended there with exit code 9 \(it must not build"
    ):
        profile_device(fresh, box(server, python(tmp_path, bundle, build=False)), OPTIONS)
    with pytest.raises(DeviceError, match="does not run edgevision") as caught:
        profile_device(fresh, box(server, "/absent/python"), OPTIONS)
    assert "trtexec" in caught.value.mend
    assert not (fresh / "on_device").exists()


def test_what_is_sent_runs_in_the_python_of_jetpack_6(tmp_path: Path) -> None:
    """Python 3.10 is not here: its grammar is, and none of the names that `typing` and others got since is imported."""
    write_source(tmp_path / "edgevision.zip")
    ask = "import sys\n" + "".join(f"import edgevision.targets.tensorrt.{worker}\n" for worker in WORKERS)
    ask += "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'edgevision' and m.__file__))\n"
    ask += "assert not {'numpy', 'onnx', 'torch'} & set(sys.modules)\n"
    # Without this environment's packages: what is imported is the archive's and the standard library's.
    command = [sys.executable, "-S", "-c", ask]
    environment = {"PYTHONPATH": str(tmp_path / "edgevision.zip")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    later = {
        "Self",
        "Never",
        "LiteralString",
        "NotRequired",
        "Required",
        "Unpack",
        "assert_never",
        "override",
        "StrEnum",
        "UTC",
    }
    modules = [file.split("edgevision.zip/")[1] for file in done.stdout.split()]
    assert len(modules) > 20
    root = Path(__file__).resolve().parents[2]
    for module in modules:
        tree = ast.parse((root / module).read_text(), feature_version=(3, 10))
        for node in tree.body:  # what is under TYPE_CHECKING is not imported
            if isinstance(node, ast.ImportFrom):
                assert not {alias.name for alias in node.names} & later, module
            if isinstance(node, ast.Import):
                assert "tomllib" not in {alias.name for alias in node.names}, module
