"""Bad input on the command line: the exit code, the words, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from nets import Net, conv_net, needs_rtx
from workspace import Command, leftovers

from edgevision.targets.tensorrt import build

pytestmark = needs_rtx


def _of(op: str, *, domain: str = "", zero: np.generic | None = None) -> ir.Model:
    net = Net()
    x = net.input("x", 1, 4, 6, 6)
    if domain:
        net.graph.opset_imports[domain] = 1
    if zero is None:
        y = net.op(op, x, domain=domain)
        y.shape = ir.Shape([1, 4] if op == "Det" else [1, 4, 6, 6])
        return net.done(y)
    pair = [net.constant(np.float32(0.1)), net.constant(zero)]
    narrow = net.op("QuantizeLinear", x, *pair)
    narrow.type = ir.TensorType(ir.tensor(zero).dtype)
    return net.done(net.op("DequantizeLinear", narrow, *pair))


def _cut(path: Path) -> None:
    data = ir.to_proto(conv_net()).SerializeToString()
    path.write_bytes(data[: len(data) // 2])


def _without_weights(path: Path) -> None:
    onnx.save(ir.to_proto(conv_net()), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").unlink()


def _saved(model: Callable[[], ir.Model]) -> Callable[[Path], None]:
    return lambda path: ir.save(model(), path)


def _opset_99() -> ir.Model:
    model = conv_net()
    model.opset_imports[""] = 99
    return model


#: What is wrong -> how the file is made, exit code, words of the message, options.
BAD: dict[str, tuple[Callable[[Path], None], int, str, tuple[str, ...]]] = {
    "an operator TensorRT lacks": (_saved(lambda: _of("Det")), 4, "does not support Det", ()),
    "an operator nobody has": (_saved(lambda: _of("Strange", domain="somewhere")), 4, "Strange", ()),
    "an unsigned zero point": (_saved(lambda: _of("Q", zero=np.uint8(0))), 4, "unsigned type", ()),
    "a shifted zero point": (_saved(lambda: _of("Q", zero=np.int8(3))), 4, "zero point is not 0", ()),
    "random bytes": (lambda path: path.write_bytes(bytes(range(256)) * 2), 4, "not a valid ONNX model", ()),
    "nothing": (lambda path: path.write_bytes(b""), 4, "not a valid ONNX model", ()),
    "half a file": (_cut, 4, "not a valid ONNX model", ()),
    "missing external data": (_without_weights, 4, "weights.bin", ()),
    "an opset of the future": (_saved(_opset_99), 4, "pset 99", ()),
    "an open height": (_saved(lambda: conv_net(size="h")), 2, "its dimension 2 (h) has no size", ()),
    "a range for a fixed batch": (_saved(conv_net), 2, "fixed batch of 1", ("--batch", "1:2:4")),
    "int8 without Q/DQ": (_saved(conv_net), 2, "has no Q/DQ pairs", ("--precision", "int8")),
    "a capability that is none": (_saved(conv_net), 2, "not a compute capability", ("--compute-capability", "sm_86")),
    "Jetson Orin": (_saved(conv_net), 5, "no code generator", ("--compute-capability", "8.6,8.7")),
    "H100": (_saved(conv_net), 5, "no code generator", ("--compute-capability", "9.0")),
    "no such flavor": (_saved(conv_net), 2, "there is no such TensorRT", ("--flavor", "trtx")),
}
MENDS = {"Jetson Orin": "Jetson Orin", "H100": "--flavor enterprise"}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str, edgevision: Command, tmp_path: Path) -> None:
    make, code, words, options = BAD[name]
    make(tmp_path / "net.onnx")
    ended = edgevision("compile", tmp_path / "net.onnx", "--target", "trt", *options, "--out", tmp_path / "b", "--json")
    assert ended.code == code, ended.out
    assert words in f"{ended.error['thing']}: {ended.error['reason']}"
    assert MENDS.get(name, "") in ended.error["mend"]
    assert ended.error["mend"]
    assert leftovers(tmp_path) == ["net.onnx"]


#: A build's process that ends in ways no exception tells of, after it has said in which step it is.
WORKER = """
import os, signal, sys, time
from edgevision.targets.tensorrt.worker import serve
def work(request, report):
    report.step("parse")
    {end}
sys.exit(serve(work))
"""
ENDS = {
    "it aborts": ("os.abort()", "ended by SIGABRT"),
    "it is killed": ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL"),
    "it hangs": ("time.sleep(600)", "did not end within 4 s"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_build_that_does_not_end_well(
    name: str, edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, words = ENDS[name]
    modules, work = tmp_path / "modules", tmp_path / "work"
    modules.mkdir()
    work.mkdir()
    (modules / "ill_builder.py").write_text(WORKER.format(end=end))
    monkeypatch.setenv("PYTHONPATH", str(modules))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(build, "BUILDER", "ill_builder")
    monkeypatch.setattr(build, "TIMEOUT", 4.0)
    ir.save(conv_net(), work / "net.onnx")
    ended = edgevision("compile", work / "net.onnx", "--target", "trt", "--out", work / "b", "--json")
    assert ended.code == 5
    assert ended.error["thing"].startswith("the TensorRT for RTX build, step `")
    assert words in ended.error["reason"]
    assert leftovers(work) == ["net.onnx"]


def test_a_tensorrt_that_is_installed_and_does_not_load(
    edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, work = tmp_path / "site" / "tensorrt", tmp_path / "work"
    broken.mkdir(parents=True)
    work.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('libnvinfer.so.11: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(broken.parent))
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    ir.save(conv_net(), work / "net.onnx")
    command = ("compile", work / "net.onnx", "--target", "trt", "--flavor", "enterprise", "--out", work / "b")
    ended = edgevision(*command, "--json")
    assert ended.code == 5
    assert "installed and cannot be loaded: libnvinfer.so.11" in ended.error["reason"]
    assert leftovers(work) == ["net.onnx"]
