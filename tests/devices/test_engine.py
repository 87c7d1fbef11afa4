"""Building an engine on a device, against a stand-in for NVIDIA's trtexec behind a real sshd.

The stand-in takes the same options, prints the same banner and writes the same files; what it computes is ONNX Runtime's.
It shows the protocol, the compatibility record and the errors. No TensorRT has run here: docs/tensorrt.md says so.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from small_bundle import small_bundle
from sshd import Sshd
from typer.testing import CliRunner

from edgevision.cli.main import app
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import VARIABLE, NamedDevice
from edgevision.devices.remote_profile import profile_device
from edgevision.devices.trtexec import build_command, read_layers, version_in
from edgevision.errors import DataError, DeviceError, GraphError, TargetError, UsageError

STAND_IN = """#!{python}
import json, sys, time
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
    print("[I] Starting inference", flush=True)
    time.sleep({pause})
    outputs = session.run(None, feeds)
    print("[I] Timing trace has", given["iterations"], "queries over", given["duration"], "s", flush=True)
    names = [o.name for o in session.get_outputs()]
    rows = [{{"name": n, "dimensions": "x".join(map(str, o.shape)), "values": (o + {wrong}).ravel().tolist()}}
            for n, o in zip(names, outputs)]
    json.dump(rows, open(given["exportOutput"], "w"))
    times = [{{"computeMs": 2 + i % 5 / 100, "latencyMs": 2.5 + i % 5 / 100}} for i in range(int(given["iterations"]))]
    json.dump(times, open(given["exportTimes"], "w"))
    if "exportProfile" in given:
        assert "separateProfileRun" in given
        layers = [("Conv_0", 0.3), ("Relu_1", 0.1)]
        rows = [{{"name": n, "timeMs": 50 * ms, "averageMs": ms, "medianMs": ms, "percentage": 250 * ms}} for n, ms in layers]
        json.dump([{{"count": 50}}, *rows], open(given["exportProfile"], "w"))
"""


def stand_in(path: Path, version: str = "100300", fail: str = "", wrong: float = 0.0, pause: float = 0.0) -> str:
    path.write_text(STAND_IN.format(python=sys.executable, version=version, fail=fail, wrong=wrong, pause=pause))
    path.chmod(0o755)
    return str(path)


def engine_bundle(folder: Path) -> Path:
    made = small_bundle(folder)
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["target"] = {"name": "trt", "precision": "fp32", "options": {}}
    (made / "manifest.json").write_text(json.dumps(manifest))
    return made


@pytest.fixture(scope="module")
def first(server: Sshd, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A bundle whose engine was built on the device, and that first profile of it."""
    folder = tmp_path_factory.mktemp("engine")
    made = engine_bundle(folder / "small")
    return made, profile_device(made, orin(server, stand_in(folder / "trtexec")), OPTIONS)


@pytest.fixture
def built(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of that bundle, to be spoilt."""
    return shutil.copytree(first[0], tmp_path / "built")


def orin(server: Sshd, trtexec: str) -> NamedDevice:
    return NamedDevice(name="orin", address=server.address, ssh_config=str(server.config), trtexec=trtexec)


OPTIONS = ProfileOptions(runs=20)


def test_built_there_timed_there_fetched_back_and_used_again(
    server: Sshd, first: tuple[Path, dict[str, Any]], built: Path, tmp_path: Path
) -> None:
    document = first[1]
    assert document["runtime"] == {"name": "tensorrt", "version": "10.3.0", "runner": "trtexec"}
    assert len(document["latency_ms"]["samples"]) == document["runs"] == 20
    assert document["with_copies_ms"]["p50"] == pytest.approx(document["latency_ms"]["p50"] + 0.5)
    assert document["parity"]["max_abs_over_std"] < 1e-5
    kept = built / "on_device" / "orin"
    record = json.loads((kept / "record.json").read_text())
    assert record["tensorrt"] == "10.3.0"
    assert (kept / "model.engine").read_bytes().startswith(b"ENGINE v100300 ")
    # A second profile loads what was fetched: this trtexec could not build.
    again = orin(server, stand_in(tmp_path / "trtexec", fail="it must not build"))
    assert profile_device(built, again, OPTIONS)["parity"]["max_abs_over_std"] < 1e-5
    assert server.left() == []


def test_an_engine_of_another_tensorrt_is_refused_before_it_is_sent(server: Sshd, built: Path, tmp_path: Path) -> None:
    updated = orin(server, stand_in(tmp_path / "trtexec", version="100700", fail="it builds"))
    with pytest.raises(DeviceError, match=r"built for TensorRT 10\.3\.0 where the device has 10\.7\.0") as caught:
        profile_device(built, updated, OPTIONS)
    assert "on_device" in caught.value.mend
    shutil.rmtree(built / "on_device")
    with pytest.raises(DeviceError, match="it builds"):
        profile_device(built, updated, OPTIONS)


def test_damaged_engine_and_record_are_refused(server: Sshd, built: Path, tmp_path: Path) -> None:
    device = orin(server, stand_in(tmp_path / "trtexec"))
    kept = built / "on_device" / "orin"
    with (kept / "model.engine").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="not the engine its record tells of"):
        profile_device(built, device, OPTIONS)
    (kept / "record.json").write_text('{"tensorrt"')
    with pytest.raises(DataError, match="no engine's record"):
        profile_device(built, device, OPTIONS)


def test_failures_there_keep_nothing(server: Sshd, built: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(built, tmp_path / "unbuilt", ignore=shutil.ignore_patterns("on_device"))
    with pytest.raises(DeviceError, match="no trtexec at /absent"):
        profile_device(bundle, orin(server, "/absent"), OPTIONS)
    failing = orin(server, stand_in(tmp_path / "trtexec", fail="no kernel for this layer"))
    with pytest.raises(DeviceError, match="no kernel for this layer"):
        profile_device(bundle, failing, OPTIONS)
    assert not list(bundle.rglob("record.json"))
    with pytest.raises(TargetError, match="differs from the bundle's sample"):
        profile_device(built, orin(server, stand_in(tmp_path / "trtexec", wrong=0.1)), OPTIONS)
    with pytest.raises(UsageError, match="per-op"):
        profile_device(bundle, replace(failing, python="python3"), ProfileOptions(per_op=True))
    assert server.left() == []


def test_what_its_parser_would_get_wrong_is_refused_before_it_is_sent(server: Sshd, tmp_path: Path) -> None:
    bundle = engine_bundle(tmp_path / "small")
    model = onnx.load(bundle / "model.onnx")
    model.graph.node[1].op_type = "Det"
    model.graph.output[1].CopyFrom(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [1, 3]))
    onnx.save(model, bundle / "model.onnx")
    with pytest.raises(GraphError, match="does not support Det"):
        profile_device(bundle, orin(server, stand_in(tmp_path / "trtexec", fail="it was sent")), OPTIONS)
    assert server.left() == []


def test_times_of_layers(server: Sshd, built: Path, tmp_path: Path) -> None:
    device = orin(server, stand_in(tmp_path / "trtexec"))
    document = profile_device(built, device, ProfileOptions(runs=20, per_op=True))
    first, second = document["per_op"]
    assert (first["op"], first["ms"], first["n"], first["share"]) == ("Conv_0", 0.3, 50, 0.75)
    assert second["op"] == "Relu_1"
    (tmp_path / "layers.json").write_text('[{"count": 50}, {"name": "Conv_0"}]')
    with pytest.raises(DeviceError, match="another form"):
        read_layers(tmp_path / "layers.json", "orin")


def test_command_line_shows_it(server: Sshd, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "devices.toml"
    lines = [f'address = "{server.address}"', f'ssh_config = "{server.config}"']
    file.write_text("\n".join(("[orin]", *lines, f'trtexec = "{stand_in(tmp_path / "trtexec")}"')))
    monkeypatch.setenv(VARIABLE, str(file))
    done = CliRunner().invoke(app, ["profile", str(built), "--device", "orin", "--runs", "12"])
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
