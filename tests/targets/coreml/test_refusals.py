"""What cannot be expressed is refused by name: node, operator, attribute, and what to do instead."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from coreml_parity import Case, ints, normal

from edgevision.errors import EdgeError, GraphError, TargetError, UsageError
from edgevision.targets.coreml import CoreML
from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.package import PackageOptions, convert, save


def refusal(case: Case, **options: str) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        convert(case.model(), PackageOptions(**options))
    assert caught.value.mend
    return caught.value


def test_unsupported_operator() -> None:
    error = refusal(Case("g (float[4] x) => (float[4] y) { y = Det(x) }".replace("[4]", "[2,2]", 1)))
    assert isinstance(error, GraphError)
    assert "Det_0" in error.thing and "Det" in error.reason


def test_unsupported_attribute() -> None:
    error = refusal(
        Case('g (float[1,1,4,4] x, float[1,3,3,2] t) => (float[1,1,3,3] y) { y = GridSample<mode="cubic">(x, t) }')
    )
    assert "GridSample_0" in error.thing and "'mode'" in error.thing and "linear" in error.mend


def test_dynamic_dimension() -> None:
    error = refusal(Case("g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }"))
    assert "'x'" in error.thing and "dynamic" in error.reason


def test_rank_six_input() -> None:
    error = refusal(Case("g (float[1,2,1,2,1,2] x) => (float[1,2,1,2,1,2] y) { y = Relu(x) }"))
    assert "rank 6" in error.reason


def test_rank_six_inside() -> None:
    error = refusal(
        Case("g (float[2,4,6] x) => (float[2,2,2,2,3,1] y) { y = Reshape(x, s) }", {"s": ints(2, 2, 2, 2, 3, 1)})
    )
    assert "Reshape_0" in error.thing and "rank 6" in error.reason and "axes" in error.mend


def test_int64_beyond_int32() -> None:
    error = refusal(
        Case("g (int64[2] x) => (int64[2] y) { y = Add(x, big) }", {"big": ints(2**40, 1)}),
    )
    assert str(2**40) in error.reason and "32 bits" in error.reason


def test_unsigned_zero_point_that_mil_lacks() -> None:
    case = Case(
        "g (float[4] x) => (float[4] y) { q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }",
        {"s": np.asarray(0.1, np.float32), "z": np.asarray(7, np.uint16)},
    )
    error = refusal(case)
    assert "uint16" in error.reason and "uint8" in error.mend


def test_deployment_target_too_old_names_operation_and_target() -> None:
    case = Case(
        "g (float[4] x) => (float[4] y) { q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z) }",
        {"s": np.asarray(0.1, np.float32), "z": np.asarray(7, np.uint8)},
    )
    error = refusal(case, target="iOS16")
    assert "QuantizeLinear_0" in error.thing and "quantize" in error.reason and "iOS17" in error.mend


def test_unknown_deployment_target() -> None:
    error = refusal(Case("g (float[4] x) => (float[4] y) { y = Relu(x) }"), target="iOS9")
    assert isinstance(error, UsageError) and "iOS17" in error.mend


def test_weights_form_newer_than_the_deployment_target(tmp_path: Path) -> None:
    case = Case("g (float[1,64] x) => (float[1,64] y) { y = MatMul(x, w) }", {"w": normal(64, 64)})
    with pytest.raises(UsageError, match="iOS18"):
        CoreML(compress_weights="int4").build(case.model(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_missing_coremltools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    target = CoreML()
    missing = target.why_not()
    assert missing is not None and "edgevision[coreml]" in missing.mend
    with pytest.raises(TargetError, match="coremltools is not installed"):
        target.build(Case("g (float[4] x) => (float[4] y) { y = Relu(x) }").model(), tmp_path)


def test_loading_away_from_a_mac(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("this is a Mac")
    with pytest.raises(TargetError, match="Apple"):
        CoreML().load(tmp_path / "model.mlpackage")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    case = Case("g (float[1,64] x) => (float[1,64] y) { y = MatMul(x, w) }", {"w": normal(64, 64)})
    return save(convert(case.model(), PackageOptions()), tmp_path / "m.mlpackage")


@pytest.mark.parametrize(
    "damage",
    [
        "no manifest",
        "manifest is not json",
        "no model",
        "model cut short",
        "weights cut short",
        "weights gone",
        "sentinel",
    ],
)
def test_corrupt_package(damage: str, package: Path) -> None:
    manifest = package / "Manifest.json"
    model = next(package.rglob("model.mlmodel"))
    weights = next(package.rglob("weight.bin"))
    match damage:
        case "no manifest":
            manifest.unlink()
        case "manifest is not json":
            manifest.write_text("{")
        case "no model":
            model.unlink()
        case "model cut short":
            model.write_bytes(model.read_bytes()[:-40])
        case "weights cut short":
            weights.write_bytes(weights.read_bytes()[:-4096])
        case "weights gone":
            weights.unlink()
        case "sentinel":
            data = bytearray(weights.read_bytes())
            data[64:68] = b"\0\0\0\0"
            weights.write_bytes(data)
    with pytest.raises(TargetError) as caught:
        Evaluator(package)
    assert "export" in caught.value.mend


def test_manifest_that_points_outside(package: Path) -> None:
    manifest = package / "Manifest.json"
    manifest.write_text(manifest.read_text().replace("com.apple.CoreML/model.mlmodel", "../../outside"))
    with pytest.raises(TargetError, match="missing"):
        Evaluator(package)


def test_classifier_labels_that_do_not_fit() -> None:
    case = Case("g (float[1,64] x) => (float[1,8] y) { y = MatMul(x, w) }", {"w": normal(64, 8)})
    with pytest.raises(UsageError, match="3 labels"):
        convert(case.model(), PackageOptions(labels=("a", "b", "c")))


def test_image_of_one_channel() -> None:
    from edgevision.targets.coreml.image import Image

    case = Case("g (float[1,1,8,8] x) => (float[1,1,8,8] y) { y = Relu(x) }")
    with pytest.raises(UsageError, match=r"\[1, 3, H, W\]"):
        convert(case.model(), PackageOptions(image=Image()))
