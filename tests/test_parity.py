"""MobileMamba through ONNX Runtime, with our kernels and with the operators' bodies alone, equals PyTorch.

Ten images (eight random, two photographs), one at a time and three at a time. The check proves itself: the same graph
with the scan's recurrence cut, or with the wavelet path silenced, fails it by at least ten times the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgevision import native
from edgevision.manifest import Manifest
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.proof import worst_difference
from edgevision.spec import Batch, ZooModel
from edgevision.stages.load import Loaded, LoadOptions, load
from edgevision.targets.onnxruntime import OnnxRuntime

Array = NDArray[np.float32]
TOLERANCE = 1e-4
VARIANTS = ("mobilemamba_t2", "mobilemamba_s6", "mobilemamba_b1")  # S6 has odd feature maps
NODES = {"EvSelectiveScan": 2, "EvIDWT": 1}  # which input of the node decides whether its path does anything


@dataclass(frozen=True)
class Case:
    """An exported variant, the model it was made of, ten images, and what PyTorch says of each."""

    bundle: Path
    manifest: Manifest
    loaded: Loaded
    images: Array
    expected: Array


@pytest.fixture(scope="module", params=VARIANTS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    import torch

    name = request.param
    done = export_bundle(
        ExportOptions(model=name, target="ort", batch=Batch(1, 1, 3), out=tmp_path_factory.mktemp("parity") / name)
    )
    loaded, _ = load(ZooModel(name), LoadOptions())
    images = np.concatenate((random_images(loaded), photographs(loaded)))
    with torch.no_grad():
        expected = np.concatenate([loaded.module(torch.from_numpy(x[None])).numpy() for x in images])
    yield Case(done.path, done.manifest, loaded, images, expected)


def random_images(loaded: Loaded) -> Array:
    return np.random.default_rng(11).standard_normal((8, *loaded.inputs[0].shape)).astype(np.float32)


def photographs(loaded: Loaded) -> Array:
    data = pytest.importorskip("skimage.data")
    datasets = pytest.importorskip("sklearn.datasets")
    from edgevision.images import preprocess

    pictures = (data.astronaut(), datasets.load_sample_image("china.jpg"))
    how = loaded.info.preprocess or {}
    return np.stack([preprocess(np.asarray(p), loaded.inputs[0].shape[1:], how) for p in pictures])  # type: ignore[arg-type]  # channels, height, width


def groups(images: Array, batch: int) -> list[Array]:
    """All images in batches of one size; the last batch goes back for what it lacks."""
    return [images[min(i, len(images) - batch) :][:batch] for i in range(0, len(images), batch)]


def error(model: Path, target: OnnxRuntime, images: Array, expected: Array, batches: Sequence[int]) -> float:
    """The largest max_abs_over_std over images one by one, so that no image hides behind another's spread."""
    worst = 0.0
    with target.load(model) as runner:
        for batch in batches:
            for x, reference in zip(groups(images, batch), groups(expected, batch), strict=True):
                (got,) = runner(x)
                worst = max(worst, worst_difference(list(reference), list(got)).max_abs_over_std)
    return worst


def test_kernels_agree_with_torch(case: Case) -> None:
    if native.why_not() is not None:
        pytest.skip(f"no kernels: {native.why_not()}")
    artifact = case.bundle / str(case.manifest.artifact["path"])
    assert error(artifact, OnnxRuntime(), case.images, case.expected, (1, 3)) <= TOLERANCE


@pytest.mark.parametrize("form", ["portable graph", "artifact"])
def test_bodies_agree_with_torch(case: Case, form: str) -> None:
    path = case.manifest.graph.path if form == "portable graph" else str(case.manifest.artifact["path"])
    target = OnnxRuntime(plugins=False)
    assert error(case.bundle / path, target, case.images, case.expected, (1, 3)) <= TOLERANCE


@pytest.mark.parametrize("removed", NODES)
def test_the_check_fails_when_the_thing_under_test_is_removed(case: Case, removed: str, tmp_path: Path) -> None:
    """The recurrence: A so negative that no state survives a step. The wavelet path: a synthesis by zeros."""
    model = onnx.load(case.bundle / "model.onnx")
    weights = {w.name: w for w in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type == removed]
    assert nodes
    for node in nodes:
        weight = weights[node.input[NODES[removed]]]
        value = -1e6 if removed == "EvSelectiveScan" else 0.0
        array = np.full(list(weight.dims), value, np.float32)
        weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    path = tmp_path / "without.onnx"
    onnx.save(model, path)
    few = slice(-3, None)  # one random image and both photographs
    assert error(path, OnnxRuntime(plugins=False), case.images[few], case.expected[few], (1,)) >= 10 * TOLERANCE


def test_the_bundle_is_of_this_model_and_says_so(case: Case) -> None:
    manifest = case.manifest
    assert manifest.model.weights["sha256"] == case.loaded.digest
    assert manifest.parity.status == "verified"
    assert manifest.parity.samples >= 4 and manifest.inputs[0]["shape"][0] is None
    assert manifest.graph.custom_ops["EvSelectiveScan"] == manifest.graph.custom_ops["EvDWT"] > 0
    assert all(
        record.max_abs_over_std is not None and record.max_abs_over_std <= TOLERANCE
        for record in manifest.stages
        if record.name in ("capture", "reparam", "passes", "verify")
    )


def test_random_weights_are_said_out_loud(case: Case) -> None:
    assert case.manifest.model.weights["source"] == "random, seed 0"
    assert any("random weights" in warning for warning in case.manifest.warnings)
    assert "random, seed 0" in (case.bundle / "README.md").read_text()


def test_the_merge_left_no_norm_and_no_branch(case: Case) -> None:
    """What this family's deploy form has: no batch norm anywhere, and fewer nodes than the training form."""
    model = onnx.load(case.bundle / "model.onnx", load_external_data=False)
    assert not [n for n in model.graph.node if n.op_type == "BatchNormalization"]
    applied = (case.manifest.reparam or {})["applied"]
    assert len(applied) > 50
    assert all(row["error_float64"] is None or row["error_float64"] <= 1e-9 for row in applied)


def test_a_seed_changes_weights_and_nothing_else() -> None:
    one, two = (load(ZooModel(VARIANTS[0]), LoadOptions(seed=seed))[0] for seed in (0, 1))
    again = load(ZooModel(VARIANTS[0]), LoadOptions(seed=0))[0]
    assert one.digest == again.digest != two.digest
    assert replace(one.info, weights={}) == replace(two.info, weights={})
