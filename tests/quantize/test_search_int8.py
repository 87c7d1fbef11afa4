"""`--max-drop` on a network with one operator that INT8 spoils: that one stays float, and the rest is taken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from small_nets import pictures, residual_net
from typer.testing import CliRunner

from edgevision.cache import Cache
from edgevision.calibration.examine import examine
from edgevision.cli.main import app
from edgevision.errors import GateError, UsageError
from edgevision.quantize import insert as inserting
from edgevision.quantize import judge
from edgevision.quantize import quantize as quantize_module
from edgevision.quantize import search_int8 as module
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.exam import ClassExam
from edgevision.quantize.judge import Speed
from edgevision.quantize.parameters import Quantized
from edgevision.quantize.quantize import Wanted, quantize
from edgevision.quantize.restoration import bicubic_down, bicubic_up, luma, pairs, psnr, scale_between, ssim
from edgevision.quantize.scheme import find_scheme

#: The convolution whose weights are spread over six decades below.
SPOILT = "Conv_9"


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network, images labelled as float sees them, and a race that every operator in 8 bits makes faster."""
    model = residual_net()
    node = next(n for n in model.graph if n.name == SPOILT)
    weight = node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    values = weight.const_value.numpy().copy()
    values[:, ::2] *= 1e-3  # half of the inputs fall below the step of the other half
    before = next(n for n in model.graph if n.name == "Conv_7")
    for index in (1, 2):
        constant = before.inputs[index]
        assert constant is not None
        assert constant.const_value is not None
        spread = constant.const_value.numpy().copy()
        spread[::2] *= 1e3
        constant.const_value = ir.tensor(spread, name=constant.name)
    weight.const_value = ir.tensor(values, name=weight.name)
    ir.save(model, tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", images=np.stack([s.image for s in pictures(48)]))
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "gains", lambda _o, form, *_: dict.fromkeys((n.name for n in form.plan.linear), 1.0))
    monkeypatch.setattr(judge, "race", fake_race)
    monkeypatch.setattr(quantize_module, "race", fake_race)
    return tmp_path


def fake_race(_first: object, second: object, *_: object, **__: object) -> Speed:
    """As many times faster as there are integer operators."""
    model = ir.load(Path(second.session._model_path))  # type: ignore[attr-defined]
    ratio = 1 + 0.1 * sum(n.op_type == "QuantizeLinear" for n in model.graph)
    return Speed(ratio=ratio, interval=(ratio, ratio), first_ms=1, second_ms=1 / ratio, pairs=9)


def command(net: Path, budget: str) -> list[str]:
    return [
        *("quantize", str(net / "net.onnx"), "--data", str(net / "data.npz"), "--scheme", "ort_x86_vnni"),
        *("--out", str(net / "bundle"), "--max-drop", budget, "--no-adaround"),  # which mends the operator
    ]


def test_the_spoilt_operator_stays_float_and_each_has_its_numbers(net: Path) -> None:
    result = CliRunner().invoke(app, [*command(net, "2"), "--json"])
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)["manifest"]["quantization"]
    searched = found["search"]
    operators = {o["name"]: o for o in searched["operators"]}
    spoilt = {name for name, o in operators.items() if not o["int8"]}
    assert spoilt
    assert len(spoilt) < len(operators)
    assert max(operators, key=lambda name: operators[name]["noise_db"]) in spoilt
    assert searched["taken"]["drop"] <= 2 < max(p["drop"] for p in searched["front"])
    assert "another top-1 than float" in searched["unit"]
    assert set(found["quantized"]) == set(operators) - spoilt
    explained = CliRunner().invoke(app, [*command(net, "2"), "--explain"])
    assert "Pareto front" in explained.stdout


def test_no_form_within_the_budget_is_the_gate_and_shows_the_nearest(
    net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClassExam, "drop", lambda *_: 3.0)
    result = CliRunner().invoke(app, command(net, "1"))
    assert isinstance(result.exception, GateError)
    assert "the nearest drops 3.00 % of images" in str(result.exception)
    assert not (net / "bundle").exists()


def test_search_resumes_from_the_cache(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, asked = module.Trials.cost, []

    def dying(self: module.Trials, layer: str) -> float:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(layer)
        return inner(self, layer)

    monkeypatch.setattr(module.Trials, "cost", dying)
    assert CliRunner().invoke(app, command(net, "2")).exit_code != 0
    assert not (net / "bundle").exists()
    first, asked[:] = list(asked), []
    monkeypatch.setattr(module.Trials, "cost", lambda self, layer: (asked.append(layer), inner(self, layer))[1])
    assert CliRunner().invoke(app, command(net, "2")).exit_code == 0
    assert asked
    assert not set(asked) & set(first)


def test_each_weight_is_rounded_once_for_all_forms(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, rounded = inserting.quantized_weight, []

    def counted(weight: np.ndarray, *rest: object) -> Quantized:
        rounded.append(weight.tobytes())
        return inner(weight, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(inserting, "quantized_weight", counted)
    assert CliRunner().invoke(app, [*command(net, "2"), "--calibrator", "mse"]).exit_code == 0
    assert len(rounded) == len(set(rounded)) > 5


def test_only_targets_that_run_here_are_searched() -> None:
    source = pictures()
    data = CalibrationSet(source=source, examined=examine(source, None), method="min-max", limit=None)
    wanted = Wanted(budget=1, exam=lambda runner: ClassExam(runner, source, 1, None), name="smooth")
    with pytest.raises(UsageError, match="cannot be timed here"):
        quantize(residual_net(), find_scheme("trt", "trt"), data, wanted=wanted, cache=Cache(root=None), report=print)


def test_scores_of_enlarged_pictures() -> None:
    y, x = np.mgrid[:64, :64] / 64
    picture = np.stack([x, y, (x + y) / 2]).astype(np.float32)
    clean = luma(picture, 2)
    assert clean.shape == (60, 60)
    assert 16 <= clean.min() < clean.max() <= 235
    noisy = luma(np.clip(picture + 0.1 * np.random.default_rng(0).standard_normal(picture.shape), 0, 1), 2)
    assert psnr(clean, clean) == float("inf")
    assert psnr(clean, clean + 2.55) == pytest.approx(40, abs=0.01)
    assert ssim(clean, clean) == pytest.approx(1)
    assert ssim(clean, noisy) < 0.5
    again = luma(bicubic_up(bicubic_down(picture, 2), 2), 2)
    assert psnr(clean, again) > 40
    assert scale_between((1, 3, 32, 24), (1, 3, 64, 48)) == 2
    assert scale_between((1, 3, 32, 32), (1, 10)) is None


def test_pairs_are_a_picture_and_its_half() -> None:
    source = pictures(3)
    how = {"mean": [0.5] * 3, "std": [0.5] * 3}
    found = list(pairs(source, 2, how, 2))
    assert len(found) == 2
    small, truth = found[0]
    assert (small.shape, truth.shape) == ((1, 3, 8, 8), (3, 16, 16))
    assert 0 <= truth.min() <= truth.max() <= 1
