"""What a package is besides its arithmetic: precision by operation, images, labels, metadata, sizes, small weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coreml_parity import Case, ints, kinds, normal

from edgevision.errors import GraphError
from edgevision.hashing import file_sha256
from edgevision.targets.coreml import TARGET, CoreML
from edgevision.targets.coreml.check import check_specification, first_release
from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.image import Image, normalized
from edgevision.targets.coreml.package import PackageOptions, convert, save
from edgevision.targets.target import Artifact

NET = Case(
    "g (float[1,3,16,16] x) => (float[1,10] y) { c = Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b)  r = Relu(c) "
    "d = Conv<pads=[1,1,1,1], group=64>(r, w2)  s = Add(d, r)  p = GlobalAveragePool(s)  f = Flatten(p)  y = Gemm(f, w3, b3) }",
    {
        "w": normal(64, 3, 3, 3, scale=0.3),
        "b": normal(64),
        "w2": normal(64, 1, 3, 3, scale=0.3),
        "w3": normal(64, 10, scale=0.2),
        "b3": normal(10),
    },
)
LABELS = tuple(f"class {index}" for index in range(10))


def built(case: Case, folder: Path, **options: Any) -> Artifact:
    return CoreML(**options).build(case.model(), folder)


def test_on_linux_a_package_is_built_not_run_and_proven(tmp_path: Path) -> None:
    artifact = built(NET, tmp_path)
    assert artifact.path == tmp_path / "model.mlpackage"
    assert not artifact.runnable
    (proof,) = artifact.proofs
    assert "evaluator" in proof.what and proof.samples == 2
    assert 1e-6 < proof.max_abs_over_std < 1e-2
    assert any("Core ML did not run" in note for note in artifact.notes)


def test_the_target_is_described_without_coremltools() -> None:
    assert (TARGET.name, TARGET.package, TARGET.extra) == ("coreml", "coremltools", "coreml")
    assert TARGET.precisions[0] == "fp16"


def test_half_precision_keeps_what_overflows(tmp_path: Path) -> None:
    case = Case(
        "g (float[1,8,6,6] x) => (float[1,8,6,6] y) { q = Mul(x, x)  m = ReduceMean<keepdims=1>(q, a)  e = Add(m, eps) "
        "s = Sqrt(e)  n = Div(x, s)  k = Exp(n)  z = Conv(k, w)  y = Relu(z) }",
        {"a": ints(1), "eps": np.asarray(1e-12, np.float32), "w": normal(8, 8, 1, 1)},
    )
    found = [(kind, dtype) for kind, dtype in kinds(case.model(), tmp_path) if kind != "cast"]
    wide = {kind for kind, dtype in found if dtype == "fp32"}
    assert {"mul", "reduce_mean", "sqrt", "real_div", "exp"} <= wide
    assert {dtype for kind, dtype in found if kind in ("conv", "relu")} == {"fp16"}


def test_half_precision_survives_values_that_would_overflow(tmp_path: Path) -> None:
    case = Case(
        "g (float[1,8,6,6] x) => (float[1,8,6,6] y) { t = Mul(x, big)  q = Mul(t, t)  m = ReduceMean<keepdims=1>(q, a) "
        "s = Sqrt(m)  y = Div(t, s) }",
        {"a": ints(1), "big": np.asarray(3000, np.float32)},
    )
    (proof,) = built(case, tmp_path).proofs
    assert proof.max_abs_over_std < 1e-2


def test_full_precision_has_no_half(tmp_path: Path) -> None:
    assert {dtype for _, dtype in kinds(NET.model(), tmp_path, precision="fp32")} == {"fp32"}


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_image_input_has_the_normalization_inside(color: str, tmp_path: Path) -> None:
    image = Image(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3), color=color)
    model = NET.model()
    package = save(convert(model, PackageOptions(precision="fp32", image=image)), tmp_path / "image.mlpackage")
    plain = save(convert(model, PackageOptions(precision="fp32")), tmp_path / "plain.mlpackage")
    evaluator = Evaluator(package)
    (entry,) = evaluator.program.specification.description.input
    spaces = entry.type.imageType.ColorSpace
    assert entry.type.imageType.colorSpace == spaces.Value(color)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16)).astype(np.float32)
    (got,) = evaluator({"x": pixels}).values()
    (want,) = Evaluator(plain)({"x": normalized(image, pixels)}).values()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_build_proves_an_image_package(tmp_path: Path) -> None:
    (proof,) = built(NET, tmp_path, image_input=True, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3)).proofs
    assert proof.max_abs_over_std < 1e-2


def test_class_labels(tmp_path: Path) -> None:
    artifact = built(NET, tmp_path, labels=LABELS, precision="fp32")
    evaluator = Evaluator(artifact.path)
    outputs = evaluator({"x": normal(1, 3, 16, 16)})
    label = next(value for value in outputs.values() if isinstance(value, str))
    scores = next(value for value in outputs.values() if isinstance(value, dict))
    assert list(scores) == list(LABELS)
    assert label == max(scores, key=lambda name: scores[name])
    assert artifact.proofs[0].max_abs_over_std < 1e-4


def test_metadata_says_which_graph_it_was_made_of(tmp_path: Path) -> None:
    import onnx_ir as ir

    model = NET.model()
    ir.save(model, tmp_path / "model.onnx")
    artifact = CoreML(precision="fp32").build(model, tmp_path)
    stored = Evaluator(artifact.path).program.specification.description.metadata.userDefined
    assert stored["edgevision.graph_sha256"] == file_sha256(tmp_path / "model.onnx")
    assert json.loads(stored["edgevision.names"]) == {"x": "x", "y": "y"}
    assert stored["edgevision.precision"] == "fp32"


def test_names_that_core_ml_does_not_allow(tmp_path: Path) -> None:
    model = NET.model()
    model.graph.inputs[0].name, model.graph.outputs[0].name = "input.1", "head/out:0"
    artifact = CoreML(precision="fp32").build(model, tmp_path)
    evaluator = Evaluator(artifact.path)
    assert evaluator.inputs() == ["input_1"]
    assert evaluator.program.main.outputs == ["head_out_0"]


SIZES: Sequence[tuple[int, int]] = ((24, 20), (32, 32))


def test_enumerated_sizes_are_one_program(tmp_path: Path) -> None:
    artifact = built(NET, tmp_path, precision="fp32", also_sizes=SIZES)
    evaluator = Evaluator(artifact.path)
    array = evaluator.program.specification.description.input[0].type.multiArrayType
    assert [list(shape.shape) for shape in array.enumeratedShapes.shapes] == [
        [1, 3, 16, 16],
        *([1, 3, height, width] for height, width in SIZES),
    ]
    for height, width in SIZES:
        alone = save(
            convert(_sized(height, width).model(), PackageOptions(precision="fp32")), tmp_path / "alone.mlpackage"
        )
        feed = {"x": normal(1, 3, height, width)}
        np.testing.assert_array_equal(evaluator(feed)["y"], Evaluator(alone)(feed)["y"])


def _sized(height: int, width: int) -> Case:
    return Case(NET.text.replace("[1,3,16,16]", f"[1,3,{height},{width}]"), NET.constants)


def test_sizes_that_change_a_constant_are_refused(tmp_path: Path) -> None:
    case = Case(
        "g (float[1,3,16,16] x) => (float[1,10] y) { s = Shape<start=2, end=3>(x)  c = Cast<to=1>(s)  r = Div(x, c) "
        "p = GlobalAveragePool(r)  f = Flatten(p)  y = MatMul(f, w) }",
        {"w": normal(3, 10)},
    )
    with pytest.raises(GraphError, match="constant") as caught:
        built(case, tmp_path, also_sizes=SIZES)
    assert "one package a size" in caught.value.mend


@pytest.mark.parametrize(
    ("weights", "kind", "deployment", "bound"),
    [
        ("int8", "constexpr_affine_dequantize", "iOS17", 0.05),
        ("int4", "constexpr_blockwise_shift_scale", "iOS18", 1.0),
        ("palette6", "constexpr_lut_to_dense", "iOS17", 0.2),
    ],
)
def test_small_weights(weights: str, kind: str, deployment: str, bound: float, tmp_path: Path) -> None:
    case = Case(
        "g (float[1,64,8,8] x) => (float[1,64,8,8] y) { a = Conv(x, w)  r = Relu(a)  y = Conv(r, w2) }",
        {"w": normal(64, 64, 1, 1, scale=0.1), "w2": normal(64, 64, 1, 1, scale=0.1, seed=1)},
    )
    artifact = built(case, tmp_path, compress_weights=weights, minimum_deployment_target=deployment)
    assert kind in Evaluator(artifact.path).kinds
    (proof,) = artifact.proofs
    assert 1e-3 < proof.max_abs_over_std < bound
    (tmp_path / "plain").mkdir()
    plain = built(case, tmp_path / "plain", minimum_deployment_target=deployment)
    assert _weight_bytes(artifact.path) < 0.8 * _weight_bytes(plain.path)


def _weight_bytes(package: Path) -> int:
    return sum(path.stat().st_size for path in package.rglob("weight.bin"))


@pytest.mark.parametrize("deployment", ["iOS15", "macOS13", "iOS18"])
def test_no_operation_is_newer_than_the_deployment_target(deployment: str, tmp_path: Path) -> None:
    artifact = built(NET, tmp_path, minimum_deployment_target=deployment, precision="fp32")
    check_specification(artifact.path, deployment)
    assert first_release("quantize") == 17 and first_release("conv") == 15 and first_release("no such thing") is None


def test_a_package_checked_against_an_older_target(tmp_path: Path) -> None:
    from edgevision.errors import TargetError

    artifact = built(NET, tmp_path, minimum_deployment_target="iOS18", precision="fp32")
    with pytest.raises(TargetError, match="newer than iOS16"):
        check_specification(artifact.path, "iOS16")


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    case = Case("g (float[2,2] x) => (float y) { y = Det(x) }")
    with pytest.raises(GraphError):
        built(case, tmp_path)
    assert not list(tmp_path.iterdir())
