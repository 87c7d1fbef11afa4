"""What `quantize` and `regress` are given by mistake, on the command line: the kind of error, its words, no bundle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image
from small_nets import Build, pictures, residual_net
from typer.testing import CliRunner

from edgevision.calibration.folder import Folder
from edgevision.cli.main import app
from edgevision.errors import DataError, EdgeError, GraphError, UsageError

HOW = {"mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.npy"
    np.save(path, np.stack([s.image for s in pictures(20)]))
    return path


def refusal(arguments: list[str]) -> EdgeError:
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, EdgeError)
    return error


def quantized_already() -> ir.Model:
    net = Build()
    scale, zero = net.constant(np.float32(1)), net.constant(np.uint8(0))
    return net.model(net.op("DequantizeLinear", net.op("QuantizeLinear", net.image, scale, zero), scale, zero))


def half() -> ir.Model:
    model = residual_net()
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy().astype(np.float16), name=value.name)
        value.dtype = ir.DataType.FLOAT16
    for node in model.graph:
        for value in (*node.outputs, *(v for v in node.inputs if v is not None)):
            value.dtype = ir.DataType.FLOAT16
    return model


def open_size() -> ir.Model:
    net = Build()
    model = net.model(net.op("Relu", net.image))
    for value in (model.graph.inputs[0], model.graph.outputs[0]):
        value.shape = ir.Shape((1, 3, "height", 16))
    return model


@pytest.mark.parametrize(
    ("make", "said"),
    [(quantized_already, "already quantized"), (half, "float32"), (open_size, "--input-size")],
    ids=["quantized", "fp16", "dynamic"],
)
def test_graphs(make: Callable[[], ir.Model], said: str, data: Path, tmp_path: Path) -> None:
    ir.save(make(), tmp_path / "net.onnx")
    error = refusal(["quantize", str(tmp_path / "net.onnx"), "--data", str(data), "--out", str(tmp_path / "bundle")])
    assert isinstance(error, GraphError | UsageError)
    assert said in str(error)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[:5], "calibration needs 16"),
        (lambda x: np.zeros_like(x), "every value is the same"),
        (lambda x: np.repeat(x[:1], 20, axis=0), "all images are the same"),
        (lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, np.nan, x), "NaN"),
        (lambda x: x[:0], "no images"),
        (lambda x: x[:, :, :8], "the model takes float 3 x 16 x 16"),
    ],
    ids=["tiny", "constant", "one image", "nan", "empty", "shape"],
)
def test_calibration_sets(change: Callable[[np.ndarray], np.ndarray], said: str, data: Path, tmp_path: Path) -> None:
    ir.save(residual_net(), tmp_path / "net.onnx")
    np.save(tmp_path / "bad.npy", change(np.load(data)).astype(np.float32))
    error = refusal(
        ["quantize", str(tmp_path / "net.onnx"), "--data", str(tmp_path / "bad.npy"), "--out", str(tmp_path / "b")]
    )
    assert isinstance(error, DataError)
    assert said in str(error)
    assert not (tmp_path / "b").exists()


def test_options_without_data(tmp_path: Path) -> None:
    ir.save(residual_net(), tmp_path / "net.onnx")
    error = refusal(["export", "--model", str(tmp_path / "net.onnx"), "--target", "ort", "--max-drop", "1"])
    assert isinstance(error, UsageError)
    assert "--max-drop: it needs --data" in str(error)


def folder_of(path: Path, count: int, corrupt: int) -> Path:
    (path / "a").mkdir(parents=True)
    (path / "b").mkdir()
    for index in range(count):
        file = path / "ab"[index % 2] / f"{index:04}.png"
        if index < corrupt:
            file.write_bytes(b"no picture")
        else:
            Image.fromarray(np.full((4, 4, 3), index % 256, np.uint8)).save(file)
    return path


def test_one_corrupt_picture_in_ten_thousand(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "many", 2, 1)
    for index in range(2, 10_000):
        os.link(folder / "b" / "0001.png", folder / "ab"[index % 2] / f"{index:05}.png")
    source = Folder(folder, (4, 4), HOW)
    assert sum(1 for _ in source) == 9_999
    assert [text.partition(":")[0] for text in source.skipped()] == ["0000.png"]


def test_corrupt_pictures_are_skipped_counted_and_named_up_to_one_in_a_hundred(tmp_path: Path) -> None:
    source = Folder(folder_of(tmp_path / "few", 200, 2), (4, 4), HOW)
    assert len(list(source)) == 198
    assert sorted(text.partition(":")[0] for text in source.skipped()) == ["0000.png", "0001.png"]
    with pytest.raises(DataError, match=r"more than 1 % of its 200 images"):
        list(Folder(folder_of(tmp_path / "many", 200, 3), (4, 4), HOW))


def test_folders_without_pictures_or_with_an_empty_class(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in it"):
        Folder(tmp_path / "empty", (4, 4), HOW)
    (folder_of(tmp_path / "classes", 4, 0) / "c").mkdir()
    with pytest.raises(DataError, match="class folders c"):
        Folder(tmp_path / "classes", (4, 4), HOW)
