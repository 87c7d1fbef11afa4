"""Building an engine on a device, against a stand-in for NVIDIA's trtexec behind a real sshd.

The stand-in takes the same options, prints the same banner and writes the same files; what it computes is ONNX Runtime's.
It shows the protocol, the compatibility record and the errors. No TensorRT has run here: docs/tensorrt.md says so.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from small_bundle import small_bundle
from sshd import Sshd
from typer.testing import CliRunner

from edgevision.cli.main import app
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import VARIABLE, NamedDevice
from edgevision.devices.remote_profile import profile_device
from edgevision.devices.trtexec import build_command, version_in
from edgevision.errors import DataError, DeviceError, TargetError, UsageError

STAND_IN = """#!{python}
import json, sys
given = dict(a[2:].split("=", 1) if "=" in a else (a[2:], "") for a in sys.argv[1:])
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] # trtexec")
if "onnx" in given:
    if "{fail}": sys.exit(print("[E] Error[4]: {fail}") or 1)
    graph = open(given["onnx"], "rb").read()
    open(given["saveEngine"], "wb").write(b"ENGINE v{version} " + graph)
if "loadEngine" in given:
    import numpy as np, onnxruntime as ort
    engine = open(given["loadEngine"], "rb").read()
    assert engine.startswith(b"ENGINE v{version} "), "this engine is another TensorRT's"
    session = ort.InferenceSession(engine[len(b"ENGINE v{version} "):])
    shapes = {{i.name: i.shape for i in session.get_inputs()}}
    pairs = [p.split(":") for p in given["loadInputs"].split(",")]
    feeds = {{n: np.fromfile(f, np.float32).reshape(shapes[n]) for n, f in pairs}}
    outputs = session.run(None, feeds)
    names = [o.name for o in session.get_outputs()]
    rows = [{{"name": n, "dimensions": "x".join(map(str, o.shape)), "values": (o + {wrong}).ravel().tolist()}}
            for n, o in zip(names, outputs)]
    json.dump(rows, open(given["exportOutput"], "w"))
    times = [{{"computeMs": 2 + i % 5 / 100, "latencyMs": 2.5 + i % 5 / 100}} for i in range(int(given["iterations"]))]
    json.dump(times, open(given["exportTimes"], "w"))
"""


def stand_in(path: Path, version: str = "100300", fail: str = "", wrong: float = 0.0) -> str:
    path.write_text(STAND_IN.format(python=sys.executable, version=version, fail=fail, wrong=wrong))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    made = small_bundle(tmp_path / "small")
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["target"] = {"name": "trt", "precision": "fp32", "options": {}}
    (made / "manifest.json").write_text(json.dumps(manifest))
    return made


def orin(server: Sshd, trtexec: str) -> NamedDevice:
    return NamedDevice(name="orin", address=server.address, ssh_config=str(server.config), trtexec=trtexec)


OPTIONS = ProfileOptions(runs=20)


def test_built_there_timed_there_fetched_back_and_used_again(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    device = orin(server, stand_in(tmp_path / "trtexec"))
    document = profile_device(bundle, device, OPTIONS)
    assert document["runtime"] == {"name": "tensorrt", "version": "10.3.0", "runner": "trtexec"}
    assert len(document["latency_ms"]["samples"]) == document["runs"] == 20
    assert document["with_copies_ms"]["p50"] == pytest.approx(document["latency_ms"]["p50"] + 0.5)
    assert document["parity"]["max_abs_over_std"] < 1e-5
    kept = bundle / "on_device" / "orin"
    record = json.loads((kept / "record.json").read_text())
    assert record["tensorrt"] == "10.3.0"
    assert (kept / "model.engine").read_bytes().startswith(b"ENGINE v100300 ")
    # A second profile loads what was fetched: this trtexec could not build.
    again = orin(server, stand_in(tmp_path / "trtexec", fail="it must not build"))
    assert profile_device(bundle, again, OPTIONS)["parity"]["max_abs_over_std"] < 1e-5
    assert list(server.tmp.iterdir()) == []


def test_an_engine_of_another_tensorrt_is_refused_before_it_is_sent(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    profile_device(bundle, orin(server, stand_in(tmp_path / "trtexec")), OPTIONS)
    updated = orin(server, stand_in(tmp_path / "trtexec", version="100700"))
    with pytest.raises(DeviceError, match=r"built for TensorRT 10\.3\.0 where the device has 10\.7\.0") as caught:
        profile_device(bundle, updated, OPTIONS)
    assert "on_device" in caught.value.mend
    shutil.rmtree(bundle / "on_device")
    assert profile_device(bundle, updated, OPTIONS)["runtime"]["version"] == "10.7.0"


def test_damaged_engine_and_record_are_refused(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    device = orin(server, stand_in(tmp_path / "trtexec"))
    profile_device(bundle, device, OPTIONS)
    kept = bundle / "on_device" / "orin"
    with (kept / "model.engine").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="not the engine its record tells of"):
        profile_device(bundle, device, OPTIONS)
    (kept / "record.json").write_text('{"tensorrt"')
    with pytest.raises(DataError, match="no engine's record"):
        profile_device(bundle, device, OPTIONS)


def test_failures_there_keep_nothing(server: Sshd, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no trtexec at /absent"):
        profile_device(bundle, orin(server, "/absent"), OPTIONS)
    failing = orin(server, stand_in(tmp_path / "trtexec", fail="no kernel for this layer"))
    with pytest.raises(DeviceError, match="no kernel for this layer"):
        profile_device(bundle, failing, OPTIONS)
    assert not list((bundle / "on_device").rglob("*.json")) if (bundle / "on_device").exists() else True
    with pytest.raises(TargetError, match="differs from the bundle's sample"):
        profile_device(bundle, orin(server, stand_in(tmp_path / "trtexec", wrong=0.1)), OPTIONS)
    with pytest.raises(UsageError, match="per-op"):
        profile_device(bundle, failing, ProfileOptions(per_op=True))
    assert list(server.tmp.iterdir()) == []


def test_command_line_shows_it(server: Sshd, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "devices.toml"
    lines = [f'address = "{server.address}"', f'ssh_config = "{server.config}"']
    file.write_text("\n".join(("[orin]", *lines, f'trtexec = "{stand_in(tmp_path / "trtexec")}"')))
    monkeypatch.setenv(VARIABLE, str(file))
    done = CliRunner().invoke(app, ["profile", str(bundle), "--device", "orin", "--runs", "12"])
    assert done.exit_code == 0, done.output
    assert "n = 12" in done.output


@pytest.mark.parametrize(
    ("digits", "version"), [("8502", "8.5.2"), ("8601", "8.6.1"), ("100300", "10.3.0"), ("101401", "10.14.1")]
)
def test_banner_of_each_generation(digits: str, version: str) -> None:
    assert version_in(["noise", f"&&&& RUNNING TensorRT.trtexec [TensorRT v{digits}] # trtexec --help"]) == version


def test_options_follow_the_version() -> None:
    assert "--stronglyTyped" in build_command("trtexec", "10.3.0", "fp16")
    old = build_command("trtexec", "8.5.2", "int8")
    assert "--int8" in old
    assert "--stronglyTyped" not in old
