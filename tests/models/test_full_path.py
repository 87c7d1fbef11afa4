"""The zoo through the whole path: merged, compiled for every target that is here, and equal to PyTorch.

Here the quickest networks, at an odd size and with an open batch; `make test-zoo` the smallest of every family so, and
every variant at its own size to every target.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from edgevision.manifest import Manifest
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.registry import Variant, aliases, create_model, find_variant, variants
from edgevision.spec import Batch
from edgevision.targets.target import targets

QUICK = ("cfsr_x2", "eca_mobilenetv2")
SMALLEST = dict.fromkeys(aliases().get(v.family, v.family) for v in variants().values())
TOLERANCE = 1e-4


def equal_to_pytorch(manifest: Manifest) -> bool:
    """By the artifact itself where it ran, else by everything that was proven in its place."""
    errors = [manifest.parity.max_abs_over_std, *(proof["max_abs_over_std"] for proof in manifest.proofs)]
    known = [error for error in errors if error is not None]
    return bool(known) and max(known) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.zoo) for n in SMALLEST])
def test_odd_sizes_and_an_open_batch(tmp_path: Path, name: str) -> None:
    side = find_variant(name).least_side
    size = (side + 33, side + 1)
    options = ExportOptions(
        model=name, target="ort", batch=Batch(1, 2, 3), input_size=size, out=tmp_path / name, samples=3
    )
    manifest = export_bundle(options).manifest
    assert manifest.parity.status == "verified" and equal_to_pytorch(manifest)
    assert [i["shape"][0] for i in manifest.inputs] == [None]
    before, after = (manifest.reparam[key] for key in ("before", "after"))
    assert before["nodes"] >= after["nodes"]
    if name in QUICK:  # others may have nothing to merge
        assert before["nodes"] > after["nodes"] and manifest.reparam["applied"]


def test_a_class_token_joins_an_open_batch() -> None:
    """The quick networks have none. How often it is repeated is a size; `len()` of a tensor is a number, and fixes the batch."""
    small = {"embed_dims": (8,) * 4, "heads": (1,) * 4, "depths": (1,) * 4, "image_size": 32, "num_classes": 3}
    model = create_model("pvt_tiny_linangular", **small)
    batch = {0: torch.export.Dim("batch", min=1, max=4)}
    program = torch.export.export(model, (torch.zeros(2, 3, 65, 33),), dynamic_shapes=(batch,), strict=False)
    images = torch.randn(3, 3, 65, 33, generator=torch.Generator().manual_seed(0))
    assert torch.equal(program.module()(images), model(images))


@pytest.mark.zoo
@pytest.mark.parametrize("target", [name for name in targets() if name != "onnx"])
def test_a_spectrogram_is_an_image_of_one_channel(tmp_path: Path, target: str) -> None:
    missing = targets()[target].create().why_not()
    if missing is not None:
        pytest.skip(missing.reason)
    options = ExportOptions(
        model="unireplknet_a",
        model_args={"in_chans": 1, "num_classes": 527},
        target=target,
        precision="fp32",
        input_size=(128, 256),
        out=tmp_path / "spectrogram",
    )
    manifest = export_bundle(options).manifest
    assert equal_to_pytorch(manifest)
    assert [i["shape"] for i in manifest.inputs] == [[1, 1, 128, 256]]
    assert [o["shape"] for o in manifest.outputs] == [[1, 527]]


@pytest.mark.zoo
@pytest.mark.parametrize("target", [name for name in targets() if name != "onnx"])
@pytest.mark.parametrize("variant", variants().values(), ids=lambda v: v.name)
def test_every_variant_on_every_target(tmp_path: Path, variant: Variant, target: str) -> None:
    missing = targets()[target].create().why_not()
    if missing is not None:
        pytest.skip(missing.reason)
    for package in variant.requires:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    options = ExportOptions(model=variant.name, target=target, precision="fp32", out=tmp_path / variant.name)
    assert equal_to_pytorch(export_bundle(options).manifest)
