"""The evaluator, held against what it must agree with: PyTorch, through coremltools' own PyTorch front end.

Nothing of edgevision's converter takes part, so a mistake shared by our lowerings and our evaluator shows here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coreml_parity import Case, normal
from torch_modules import CASES, Called

from edgevision.proof import worst_difference
from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.evaluator.semantics import SEMANTICS
from edgevision.targets.coreml.package import PackageOptions, convert, save
from edgevision.targets.coreml.quiet import quiet

#: Kinds of operations that some model converted by coremltools has run, filled by the tests below.
COVERED: set[str] = set()


def front_end(name: str, folder: Path, precision: str) -> tuple[Evaluator, list[torch.Tensor], list[torch.Tensor]]:
    with quiet():
        import coremltools as ct

        case = CASES[name]
        generator = torch.Generator().manual_seed(1)
        inputs = [torch.randn(shape, generator=generator) for shape in case.shapes]
        inputs = [x.abs() + 0.5 for x in inputs] if case.positive else inputs
        module = Called(case.function).eval()
        traced = torch.jit.trace(module, inputs)
        package = ct.convert(
            traced,
            inputs=[ct.TensorType(name=f"x{i}", shape=x.shape) for i, x in enumerate(inputs)],
            minimum_deployment_target=ct.target.iOS18,
            compute_precision=ct.precision.FLOAT32 if precision == "fp32" else ct.precision.FLOAT16,
            skip_model_load=True,
        )
    with torch.no_grad():
        result = module(*inputs)
    references = list(result) if isinstance(result, tuple) else [result]
    return Evaluator(save(package, folder / "front_end.mlpackage")), inputs, references


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_pytorch(name: str, tmp_path: Path) -> None:
    evaluator, inputs, references = front_end(name, tmp_path, "fp32")
    missing = set(CASES[name].meant) - evaluator.kinds
    assert not missing, f"the front end no longer emits {missing}; it emits {sorted(evaluator.kinds)}"
    got = evaluator({f"x{i}": x.numpy() for i, x in enumerate(inputs)})
    shaped = [got[n].reshape(r.shape) for n, r in zip(evaluator.program.main.outputs, references, strict=True)]
    error = worst_difference([r.numpy() for r in references], shaped)
    # coremltools folds a scale and a shift into a batch norm whose epsilon it leaves at 1e-5: 5e-6 of the scale.
    assert error.max_abs_over_std < (1e-4 if name == "group norm" else 1e-5)
    COVERED.update(evaluator.kinds)


@pytest.mark.parametrize("name", ["arithmetic", "activations", "strided conv", "softmaxes", "layer norm"])
def test_fp16_programs_agree_to_fp16(name: str, tmp_path: Path) -> None:
    evaluator, inputs, references = front_end(name, tmp_path, "fp16")
    got = evaluator({f"x{i}": x.numpy() for i, x in enumerate(inputs)})
    results = [got[n].astype(np.float32) for n in evaluator.program.main.outputs]
    error = worst_difference([r.numpy() for r in references], results).max_abs_over_std
    assert 1e-6 < error < 1e-2  # rounded to fp16, and no more than that


def test_elementwise_fp16_is_exactly_ieee_half() -> None:
    from edgevision.targets.coreml.evaluator.program import Operation, TensorType
    from edgevision.targets.coreml.evaluator.run import _declared, _widened
    from edgevision.targets.coreml.evaluator.semantics import Arguments

    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal(4096).astype(np.float16) for _ in range(2))
    kind = TensorType("fp16", (4096,))
    for name, function in (("add", np.add), ("mul", np.multiply), ("real_div", np.divide)):
        operation = Operation(name, name, {}, [("y", kind)])
        wide = {"x": [_widened(torch.from_numpy(a))], "y": [_widened(torch.from_numpy(b))]}
        result = _declared(operation, SEMANTICS[name](Arguments(operation, wide)), kind)
        assert isinstance(result, torch.Tensor)
        np.testing.assert_array_equal(result.numpy(), function(a, b))


def test_a_wrong_meaning_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator, inputs, references = front_end("activations", tmp_path, "fp32")
    monkeypatch.setitem(SEMANTICS, "silu", lambda op: torch.relu(op.tensor("x")))
    got = evaluator({"x0": inputs[0].numpy()})
    assert worst_difference([references[0].numpy()], list(got.values())).max_abs_over_std > 1e-2


def test_declared_types_are_checked(tmp_path: Path) -> None:
    from edgevision.errors import TargetError

    case = Case("g (float[1,64] x) => (float[1,8] y) { y = MatMul(x, w) }", {"w": normal(64, 8)})
    path = save(convert(case.model(), PackageOptions(precision="fp32")), tmp_path / "m.mlpackage")
    model_file = next(path.rglob("model.mlmodel"))
    from coremltools.proto import Model_pb2

    message = Model_pb2.Model()
    message.ParseFromString(model_file.read_bytes())
    function = message.mlProgram.functions["main"]
    operation = function.block_specializations[function.opset].operations[-1]
    operation.outputs[0].type.tensorType.dimensions[1].constant.size = 9
    model_file.write_bytes(message.SerializeToString())
    with pytest.raises(TargetError, match="declares"):
        Evaluator(path)({"x": normal(1, 64)})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"padding_value": torch.tensor(1.0)}, "a padding value other than 0"),
        (
            {"padding_mode": "symmetric", "align_corners": torch.tensor(True)},
            "symmetric padding with align_corners=True",
        ),
    ],
)
def test_a_form_it_does_not_know_is_told(more: dict[str, Any], said: str) -> None:
    """Packages of ours have none of these."""
    from edgevision.errors import TargetError
    from edgevision.targets.coreml.evaluator.program import Operation
    from edgevision.targets.coreml.evaluator.semantics import Arguments

    given = {"x": torch.zeros(1, 1, 4, 4), "coordinates": torch.zeros(1, 2, 2, 2), **more}
    operation = Operation("resample", "sampled", {}, [])
    with pytest.raises(TargetError, match=f"does not know {said}") as raised:
        SEMANTICS["resample"](Arguments(operation, {name: [value] for name, value in given.items()}))
    assert raised.value.thing == "operation 'sampled' (resample)" and "Mac" in raised.value.mend


def test_coverage_is_printed() -> None:
    """What the front end vouches for; the rest is checked against ONNX Runtime only (docs/coreml.md lists it)."""
    if len(COVERED) < 60:
        pytest.skip("runs after the whole of this file")
    elsewhere = sorted(SEMANTICS.keys() - COVERED)
    print(f"\n{len(COVERED)} MIL operations agree with PyTorch: {', '.join(sorted(COVERED))}")  # noqa: T201
    print(f"{len(elsewhere)} are checked elsewhere: {', '.join(elsewhere)}")  # noqa: T201
    assert len(COVERED) >= 85
