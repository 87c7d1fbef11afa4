"""Schemes say what their runtimes are known to need."""

from __future__ import annotations

import pytest

from edgevision.errors import UsageError
from edgevision.quantize.choose import _onnxruntime, default_scheme
from edgevision.quantize.scheme import find_scheme, schemes


def test_all_load_and_each_names_its_target() -> None:
    assert {"ort_x86_vnni", "ort_x86_avx2", "ort_arm64", "trt", "coreml"} <= set(schemes())
    assert all(s.linear and s.stays_float for s in schemes().values())


def test_what_each_runtime_needs() -> None:
    vnni, avx2 = find_scheme("ort_x86_vnni", "ort"), find_scheme("ort_x86_avx2", "ort")
    assert (vnni.activations.type, vnni.weights.largest) == ("uint8", 127)
    assert 2 * 255 * avx2.weights.largest <= 2**15 - 1 < 2 * 255 * (avx2.weights.largest + 1)  # vpmaddubsw
    trt = find_scheme("trt", "trt")
    assert (trt.activations.type, trt.activations.symmetric, trt.depthwise) == ("int8", True, False)


def test_processor_decides() -> None:
    assert _onnxruntime("x86_64", frozenset({"avx2", "avx512_vnni"})) == "ort_x86_vnni"
    assert _onnxruntime("x86_64", frozenset({"avx2"})) == "ort_x86_avx2"
    assert _onnxruntime("aarch64", frozenset()) == "ort_arm64"
    assert find_scheme(default_scheme("ort"), "ort")


def test_unknown_or_foreign_scheme() -> None:
    with pytest.raises(UsageError, match="no such scheme"):
        find_scheme("best", "ort")
    with pytest.raises(UsageError, match="it is for the target trt"):
        find_scheme("trt", "ort")
    with pytest.raises(UsageError, match="no INT8 scheme"):
        default_scheme("onnx")
