"""Profiles on a device behind a real sshd, with our runner and with runners that fail as devices do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime import get_available_providers as available_providers
from small_bundle import small_bundle
from sshd import Sshd
from typer.testing import CliRunner

from edgevision.cli.main import app
from edgevision.devices import remote_profile as remote_profile_module
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import VARIABLE, NamedDevice
from edgevision.devices.remote_profile import HalfMeasuredError, profile_device
from edgevision.devices.runner import Told, read_tensors, runner_path, runtime_library, write_tensors
from edgevision.errors import DataError, DeviceError, TargetError
from edgevision.hashing import file_sha256
from edgevision.pipeline import SAMPLE

needs_runner = pytest.mark.skipif(runner_path() is None, reason="the runner is not built (make plugins)")
needs_runtime = pytest.mark.skipif(runtime_library() is None, reason="this onnxruntime has no shared library")
OPTIONS = ProfileOptions(runs=25)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("bundle") / "small")


def named(server: Sshd, **more: object) -> NamedDevice:
    return NamedDevice(name="loopback", address=server.address, ssh_config=str(server.config), **more)  # type: ignore[arg-type]


def script(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    return str(path)


@needs_runner
@needs_runtime
def test_profile_of_a_device(server: Sshd, bundle: Path) -> None:
    document = profile_device(bundle, named(server, onnxruntime=str(runtime_library())), OPTIONS)
    assert len(document["latency_ms"]["samples"]) == document["runs"] == 25
    assert document["parity"]["max_abs_over_std"] < 1e-5
    assert document["device"]["kind"] == "ssh"
    assert document["cold_start_ms"] > 0
    assert document["peak_memory_mib"] > 1
    assert document["environment"]["after"]["load_1min"] is not None
    assert server.left() == []


@needs_runner
@needs_runtime
def test_profile_of_this_machine_by_the_runner(bundle: Path, tmp_path: Path) -> None:
    device = NamedDevice(name="here", address="local", folder=str(tmp_path), onnxruntime=str(runtime_library()))
    document = profile_device(bundle, device, OPTIONS)
    assert (document["device"]["kind"], document["runtime"]["runner"]) == ("local", "edgevision_runner")
    assert document["parity"]["max_abs_over_std"] < 1e-5
    assert list(tmp_path.iterdir()) == []


@needs_runner
@needs_runtime
def test_emulated_is_declared_and_never_stable(server: Sshd, bundle: Path) -> None:
    device = named(server, onnxruntime=str(runtime_library()), emulated=True)
    document = profile_device(bundle, device, OPTIONS)
    assert (document["verdict"], document["device"]["emulated"]) == ("emulated", True)


@needs_runner
@needs_runtime
def test_a_wrong_answer_is_an_error(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(bundle, spoilt)
    with np.load(spoilt / SAMPLE) as arrays:
        changed = dict(arrays)
    changed["output.0"] = changed["output.0"] + 0.01
    np.savez(spoilt / SAMPLE, **changed)
    with pytest.raises(TargetError, match="differs from the bundle's sample"):
        profile_device(spoilt, named(server, onnxruntime=str(runtime_library())), OPTIONS)


@needs_runner
@needs_runtime
@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("CUDA", "CUDA execution provider is not enabled in this build"),
        ("CUDA:device_id=0", "CUDA execution provider is not enabled in this build"),
        ("NNAPI", "has no NNAPI"),
        ("XNNPACK", "XNNPACK execution provider is not supported in this build"),
        ("QNN:backend_path", "takes NAME or NAME:KEY=VALUE"),
        ("Nonsense", "Unknown provider name"),
    ],
)
def test_a_provider_that_the_runtime_there_lacks(server: Sshd, bundle: Path, provider: str, said: str) -> None:
    if provider.split(":")[0] in {p.removesuffix("ExecutionProvider") for p in available_providers()}:
        pytest.skip(f"this ONNX Runtime has {provider}")
    with pytest.raises(DeviceError, match=re.escape(said)):
        profile_device(bundle, named(server, onnxruntime=str(runtime_library()), provider=provider), OPTIONS)


@needs_runner
@needs_runtime
@pytest.mark.skipif("AzureExecutionProvider" not in available_providers(), reason="no other provider to take")
def test_a_provider_is_taken_and_the_placement_told(server: Sshd, bundle: Path) -> None:
    """PyPI's ONNX Runtime has one provider beside the CPU's; it takes no node of this model, and the placement says so."""
    device = named(server, onnxruntime=str(runtime_library()), provider="AZURE")
    assert profile_device(bundle, device, OPTIONS)["placement"].keys() == {"CPUExecutionProvider"}


@needs_runner
def test_no_runtime_there_is_told(server: Sshd, bundle: Path) -> None:
    with pytest.raises(DeviceError, match="exit code 69") as caught:
        profile_device(bundle, named(server, onnxruntime="/absent/libonnxruntime.so"), OPTIONS)
    assert "/absent/libonnxruntime.so" in caught.value.reason


def test_a_runner_that_crashes(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    runner = script(tmp_path / "runner", "kill -SEGV $$")
    with pytest.raises(DeviceError, match="signal 11 after 0 runs"):
        profile_device(bundle, named(server, runner=runner, onnxruntime="x"), OPTIONS)
    assert server.left() == []


def test_a_runner_for_another_processor(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    elf = bytes.fromhex("7f454c46020101") + bytes(9) + b"\x02\x00\xb7\x00" + bytes(100)
    (tmp_path / "runner").write_bytes(elf)
    with pytest.raises(DeviceError, match=r"exit code 12[67]") as caught:
        profile_device(bundle, named(server, runner=str(tmp_path / "runner"), onnxruntime="x"), OPTIONS)
    assert "another processor" in caught.value.mend


def test_what_a_lost_device_had_measured_is_kept(
    server: Sshd, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ['{"event":"loaded","onnxruntime":"1.2","load_ns":1,"first_ns":5000000}', '{"event":"run","ns":4000000}']
    runner = script(
        tmp_path / "runner", *(f"echo '{line}'" for line in lines), f"touch {tmp_path}/measured", "sleep 600"
    )
    file, out = tmp_path / "devices.toml", tmp_path / "half.json"
    entry = [
        f'address = "{server.address}"',
        f'ssh_config = "{server.config}"',
        f'runner = "{runner}"',
        'onnxruntime = "x"',
    ]
    file.write_text("\n".join(("[loopback]", *entry)))
    monkeypatch.setenv(VARIABLE, str(file))

    def cut_when_measured() -> None:
        while not (tmp_path / "measured").exists():
            pause.wait(0.05)
        server.cut()

    pause = threading.Event()
    threading.Thread(target=cut_when_measured, daemon=True).start()
    done = CliRunner().invoke(app, ["profile", str(bundle), "--device", "loopback", "--out", str(out)])
    assert isinstance(done.exception, HalfMeasuredError)
    assert done.exception.lost
    document = json.loads(out.read_text())
    assert document["latency_ms"]["samples"] == [4.0]
    assert document["verdict"] == "unstable"
    assert "lost after 1 of 100 runs" in document["reasons"][0]
    assert server.left() == []


def test_a_runner_that_hangs_after_some_runs(
    server: Sshd, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended on the device, nothing of it stays there, and what it had told is kept."""
    monkeypatch.setattr(remote_profile_module, "LONGEST", 1.0)
    lines = ["echo $$ >{0}/pid", """echo '{{"event":"run","ns":4000000}}'""", "exec sleep 600"]
    runner = script(tmp_path / "runner", *(line.format(tmp_path) for line in lines))
    with pytest.raises(HalfMeasuredError, match="longer than 1 s there") as caught:
        profile_device(bundle, named(server, runner=runner, onnxruntime="x"), OPTIONS)
    assert caught.value.document["latency_ms"]["samples"] == [4.0]
    assert not caught.value.lost
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert server.left() == []


def test_bundle_of_another_target_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "coreml"
    shutil.copytree(bundle, other)
    text = (other / "manifest.json").read_text()
    (other / "manifest.json").write_text(text.replace('"name": "ort"', '"name": "coreml"'))
    with pytest.raises(DataError, match="it is for coreml"):
        profile_device(other, NamedDevice(name="x", address="ssh://127.0.0.1"), OPTIONS)


def test_tensor_files(tmp_path: Path) -> None:
    tensors = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.array(7, dtype=np.int64)}
    path = tmp_path / "t.bin"
    write_tensors(path, tensors)
    back = read_tensors(path)
    assert all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in zip(tensors.values(), back, strict=True))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DeviceError, match="cut short"):
        read_tensors(path)


def test_lines_of_the_runner() -> None:
    told = Told()
    for line in ('{"event":"run","ns":1500000}', '{"event":"run","ns":', "noise", '{"event":"warm","ns":2000000}'):
        told.line(line)
    assert (told.samples, told.warm, told.end) == ([1.5], [2.0], None)


@needs_runner
@needs_runtime
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler to make the clock jump with")
def test_samples_do_not_follow_a_jumping_clock(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    shim = tmp_path / "clock.so"
    source = Path(__file__).with_name("jumping_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"], check=True, timeout=60)
    jumps = "import time; a, b = time.time(), time.time(); assert abs(b - a) > 3000"
    subprocess.run([sys.executable, "-c", jumps], env={"LD_PRELOAD": str(shim)}, check=True, timeout=60)
    runner = script(tmp_path / "runner", f'LD_PRELOAD={shim} exec "{runner_path()}" "$@"')
    document = profile_device(bundle, named(server, runner=runner, onnxruntime=str(runtime_library())), OPTIONS)
    assert all(0 < sample < 60_000 for sample in document["latency_ms"]["samples"])
    assert 0 < document["cold_start_ms"] < 600_000


@needs_runner
@needs_runtime
def test_the_runner_killed_mid_run(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    """The real runner, ended by the kernel's out-of-memory killer or a person: told from a lost device."""
    kill = f'"{runner_path()}" "$@" & own=$!; (sleep 3; kill -9 $own) & wait $own; exit $?'
    device = named(server, runner=script(tmp_path / "runner", kill), onnxruntime=str(runtime_library()))
    with pytest.raises(HalfMeasuredError, match=r"signal 9 after [1-9]\d* runs") as caught:
        profile_device(bundle, device, ProfileOptions(runs=10, seconds=60))
    document = caught.value.document
    assert not caught.value.lost
    assert len(document["latency_ms"]["samples"]) == document["runs"] > 0
    assert document["verdict"] == "unstable"
    assert re.match(r"it ended after \d+ of 10 runs \(the runner ended with signal 9", document["reasons"][0])
    assert server.left() == []


@needs_runner
@needs_runtime
def test_a_model_newer_than_the_runtime_there(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    shutil.copytree(bundle, newer)
    model = onnx.load(newer / "model.onnx")
    model.opset_import[0].version = 99
    onnx.save(model, newer / "model.onnx")
    manifest = json.loads((newer / "manifest.json").read_text())
    sha256 = file_sha256(newer / "model.onnx")
    manifest["artifact"]["sha256"] = manifest["graph"]["sha256"] = sha256
    (newer / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DeviceError, match="exit code 65") as caught:
        profile_device(newer, named(server, onnxruntime=str(runtime_library())), OPTIONS)
    assert "opset" in caught.value.mend
