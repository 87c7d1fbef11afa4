"""The same path from Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from workspace import leftovers

import edgevision as ev
from edgevision.errors import DataError, ModelError, OutputError, UsageError
from edgevision.proof import difference


def test_names_are_listed() -> None:
    assert {"create_model", "export", "load", "__version__"} <= set(dir(ev))
    with pytest.raises(AttributeError, match="no attribute 'exprot'"):
        _ = ev.exprot


def test_create_model_takes_overrides_and_is_in_eval_mode() -> None:
    model = ev.create_model("mobilemamba_t2", num_classes=7)
    assert not model.training
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_create_model_does_not_guess() -> None:
    with pytest.raises(ModelError):
        ev.create_model("mobilemamba_t3")
    with pytest.raises(UsageError):
        ev.create_model("mobilemamba_t2", colours=3)


def test_export_and_load(tmp_path: Path) -> None:
    import tiny

    bundle = ev.export("tiny:classifier", target="onnx", out=tmp_path / "out", batch=(1, 2, 4))
    assert bundle == tmp_path / "out"
    runner = ev.load(bundle)
    assert [i.name for i in runner.inputs] == ["image"]
    assert runner.inputs[0].shape == (None, 3, 32, 32)
    for batch in (1, 3, 4):
        x = torch.randn(batch, 3, 32, 32)
        with torch.no_grad():
            expected = tiny.classifier()(x).numpy()
        (by_position,) = runner(x.numpy())
        (by_name,) = runner({"image": x.numpy()})
        assert np.array_equal(by_position, by_name)
        assert difference(expected, by_position).max_abs_over_std < 1e-5
    runner.close()


@pytest.mark.parametrize("batch", [0, -1, (2, 1, 3), (0, 1, 1)])
def test_batches_that_are_none(tmp_path: Path, batch: int | tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="--batch"):
        ev.export("tiny:classifier", target="onnx", out=tmp_path / "out", batch=batch)
    assert leftovers(tmp_path) == []


def test_errors_are_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such target"):
        ev.export("tiny:classifier", target="tflite", out=tmp_path / "out")
    with pytest.raises(OutputError):
        ev.export("tiny:classifier", target="onnx", out=Path(__file__))
    with pytest.raises(DataError):
        ev.load(tmp_path)
