"""Networks nobody here wrote, through ONNX: ten of timm's families and a segmenter with two outputs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
import torch
from coreml_parity import evaluated, expected, kinds

from edgevision.proof import worst_difference
from edgevision.random_weights import randomise_

timm = pytest.importorskip("timm", reason="timm is not installed")

#: Name -> side of the input. Different ideas each: plain, depthwise, squeeze-excite, ghost, re-parameterized, MLP,
#: attention, both, large kernels, transposed attention.
ARCHITECTURES = {
    "convnext_atto": 64,
    "edgenext_xx_small": 96,
    "efficientnet_b0": 64,
    "ghostnet_050": 64,
    "mixer_s32_224": 224,
    "mobilenetv3_small_050": 64,
    "mobilevit_xxs": 64,
    "regnety_002": 64,
    "repvgg_a0": 64,
    "resnet10t": 64,
    "fastvit_t8": 64,
    "vit_tiny_patch16_224": 224,
}
QUICK = "mobilenetv3_small_050"


def randomised(network: torch.nn.Module, side: int) -> torch.nn.Module:
    """Ordinary weights, and statistics under which the signal reaches the end: nothing is off, no norm an identity."""
    network.eval()
    randomise_(network, 0, [torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(2))])
    return network


def through_onnx(network: torch.nn.Module, image: torch.Tensor, outputs: Sequence[str]) -> onnx.ModelProto:
    buffer = io.BytesIO()
    torch.onnx.export(
        network, (image,), buffer, input_names=["image"], output_names=list(outputs), opset_version=18, dynamo=False
    )
    return onnx.load_model_from_string(buffer.getvalue())


def parity_of(network: torch.nn.Module, side: int, outputs: Sequence[str], folder: Path, **options: Any) -> float:
    image = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        result = network(image)
    references = [value.numpy() for value in (result if isinstance(result, (tuple, list)) else [result])]
    proto = through_onnx(network, image, outputs)
    assert worst_difference(references, expected(proto, {"image": image.numpy()})).max_abs_over_std < 1e-3
    got = evaluated(ir.from_proto(proto), {"image": image.numpy()}, folder, **options)
    return worst_difference(references, got).max_abs_over_std


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == QUICK else pytest.mark.slow) for n in ARCHITECTURES])
def test_timm_architecture(name: str, tmp_path: Path) -> None:
    network = randomised(timm.create_model(name, pretrained=False), ARCHITECTURES[name])
    assert parity_of(network, ARCHITECTURES[name], ["scores"], tmp_path, precision="fp32") < 1e-4


class TwoHeads(torch.nn.Module):
    """A segmenter's dictionary of outputs as a tuple."""

    def __init__(self, segmenter: torch.nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        result = self.segmenter(image)
        return result["out"], result["aux"]


@pytest.mark.slow
def test_segmenter_with_two_outputs(tmp_path: Path) -> None:
    segmentation = pytest.importorskip("torchvision.models.segmentation", reason="torchvision is not installed")
    network = segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=5, aux_loss=True
    )
    assert parity_of(TwoHeads(randomised(network, 96)), 96, ["out", "aux"], tmp_path, precision="fp32") < 1e-4


def test_the_parity_test_sees_a_missing_operation(tmp_path: Path) -> None:
    """With one activation dropped from the ONNX graph, the same comparison fails by far more than the tolerance."""
    network = randomised(timm.create_model(QUICK, pretrained=False), 64)
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        reference = network(image).numpy()
    model = ir.from_proto(through_onnx(network, image, ["scores"]))
    victim = next(node for node in model.graph if node.op_type == "HardSwish")
    ir.convenience.replace_all_uses_with(victim.outputs[0], victim.inputs[0])
    got = evaluated(model, {"image": image.numpy()}, tmp_path, precision="fp32")
    assert worst_difference([reference], got).max_abs_over_std > 1e-3  # ten times the tolerance
    assert "sigmoid_hard" in dict(kinds(model, tmp_path))
