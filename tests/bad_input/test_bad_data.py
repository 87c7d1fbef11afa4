"""Inputs: images that are none, arrays that do not fit, sizes that a network or the memory does not take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from workspace import Command, leftovers

import edgevision as ev
from edgevision.errors import DataError


def picture(path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)).save(path)
    return path


def not_an_image(path: Path) -> None:
    path.write_text("not an image")


def empty(path: Path) -> None:
    path.touch()


def half(path: Path) -> None:
    path.write_bytes(picture(path).read_bytes()[:200])


@pytest.mark.parametrize(
    ("make", "said"), [(not_an_image, "not a readable"), (empty, "not a readable"), (half, "not a")]
)
def test_an_image_that_is_not_one(
    edgevision: Command, tiny_bundle: Path, tmp_path: Path, make: object, said: str
) -> None:
    path = tmp_path / "image.png"
    make(path)  # type: ignore[operator]
    ended = edgevision("run", tiny_bundle, path, "--json")
    assert ended.code == 7
    assert ended.error["thing"] == str(path)
    assert said in ended.error["reason"] and ended.error["mend"]


@pytest.mark.parametrize("path", ["absent.png", "."])
def test_no_file(edgevision: Command, tiny_bundle: Path, tmp_path: Path, path: str) -> None:
    assert edgevision("run", tiny_bundle, tmp_path / path, "--json").code == 7


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((3, 32, 32), np.nan, np.float32), "NaN or Inf"),
        (np.full((3, 32, 32), np.inf, np.float32), "NaN or Inf"),
        (np.zeros((3, 32, 31), np.float32), "the model takes"),
        (np.zeros((1, 3, 32, 32), np.int64), "the model takes"),
        (np.array({"a": 1}, object), "not a NumPy array"),
    ],
)
def test_arrays_that_do_not_fit(
    edgevision: Command, tiny_bundle: Path, tmp_path: Path, array: np.ndarray, said: str
) -> None:
    path = tmp_path / "input.npy"
    np.save(path, array, allow_pickle=True)
    ended = edgevision("run", tiny_bundle, path, "--json")
    assert ended.code == 7
    assert said in ended.error["reason"]


def test_labels_that_do_not_fit(edgevision: Command, tiny_bundle: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    ended = edgevision("run", tiny_bundle, picture(tmp_path / "a.png"), "--labels", labels, "--json")
    assert ended.code == 7
    assert "2 labels" in ended.error["reason"] and "10 classes" in ended.error["reason"]


@pytest.mark.parametrize(
    "feeds",
    [
        np.full((1, 3, 32, 32), np.nan, np.float32),
        np.zeros((1, 3, 32, 32), np.float64),
        np.zeros((2, 3, 32, 32), np.float32),
        np.zeros((3, 32, 32), np.float32),
        {"picture": np.zeros((1, 3, 32, 32), np.float32)},
        {},
    ],
)
def test_the_same_from_python(tiny_bundle: Path, feeds: object) -> None:
    runner = ev.load(tiny_bundle)
    with pytest.raises(DataError):
        runner(feeds)  # type: ignore[arg-type]
    runner.close()


@pytest.mark.parametrize("size", ["0", "0x64", "-5", "64x-5", "axb", "1x2x3", "", "6.5", "1e3"])
def test_sizes_that_are_none(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.chdir(tmp_path)
    ended = edgevision("export", "--model", "mobilemamba", "--target", "onnx", f"--input-size={size}", "--json")
    assert ended.code == 2
    assert "--input-size" in ended.error["thing"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("size", ["63", "64x63", "1"])
def test_below_what_the_network_takes(
    edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = edgevision("export", "--model", "mobilemamba", "--target", "onnx", "--input-size", size, "--json")
    assert ended.code == 2
    assert "at least 64" in ended.error["reason"]
    assert leftovers(tmp_path) == []


def test_input_larger_than_memory(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = edgevision("export", "--model", "mobilemamba", "--target", "onnx", "--input-size", "1000000", "--json")
    assert ended.code == 2
    assert "the input alone needs 11175.9 GiB" in ended.error["reason"]
    assert leftovers(tmp_path) == []


def test_activations_larger_than_memory(edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The input is 16 KiB, the weights are 32 KiB, one feature map is larger than this machine."""
    import psutil

    monkeypatch.chdir(tmp_path)
    width = psutil.virtual_memory().total // (4 * 64 * 64)
    monkeypatch.setattr("edgevision.stages.memory._SMALL", 10**9)
    ended = edgevision(
        "export", "--model", "tiny:greedy", "--target", "onnx", "--model-arg", f"width={width}", "--json"
    )
    assert ended.code == 2
    assert "activations need" in ended.error["reason"]
    assert leftovers(tmp_path) == []


def test_running_out_of_memory_all_the_same(
    edgevision: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgevision.stages.graph.capture", exhausted)
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx", "--json")
    assert ended.code == 2
    assert ended.error["thing"] == "memory" and "--input-size" in ended.error["mend"]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("batch", ["0", "-1", "x", "1:2", "3:2:1", "0:1:2", "1:2:3:4", "½"])
def test_batches_that_are_none(edgevision: Command, batch: str) -> None:
    ended = edgevision("export", "--model", "tiny:classifier", "--target", "onnx", f"--batch={batch}", "--json")
    assert ended.code == 2
    assert "--batch" in ended.error["thing"]


def test_not_a_bundle(edgevision: Command, tmp_path: Path) -> None:
    for command in (("verify", tmp_path), ("inspect", tmp_path), ("profile", tmp_path), ("run", tmp_path, "a.png")):
        ended = edgevision(*command, "--json")
        assert ended.code == 7
        assert "not a bundle" in ended.error["reason"]
