"""timm's re-parameterizable networks, unseen: their training form merges at least as far as timm's own deploy form.

Exported by the TorchScript exporter, which is quicker than dynamo's on graphs of a thousand nodes and writes another
dialect: weights shared through Identity, pools and flattening as operators of their own.
"""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec

import onnx
import onnx_ir as ir
import pytest
import torch
from net import merged, ops

from edgevision.import_timm import import_timm
from edgevision.passes.tidy import tidy
from edgevision.random_weights import randomise_

NAMES = ["mobileone_s0", "repvgg_a0", "repvit_m1", "fastvit_t8", "repghostnet_080"]
SIZE = 64


def export(module: torch.nn.Module) -> ir.Model:
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.randn(1, 3, SIZE, SIZE),),
            target,
            dynamo=False,
            opset_version=17,
            do_constant_folding=False,
            input_names=["x"],
            training=torch.onnx.TrainingMode.PRESERVE,  # type: ignore[attr-defined]
        )
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(target.getvalue()))
    model = ir.from_proto(inferred)
    tidy(model)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_merges_at_least_as_far_as_timm(name: str) -> None:
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    timm = import_timm()
    from timm.utils import reparameterize_model

    network = timm.create_model(name).eval()
    randomise_(network)
    ours = ops(merged(export(network)).model)
    theirs = ops(export(reparameterize_model(network)))
    for kind in ("BatchNormalization", "Conv", "Add", "Sub", "Mul", "Gemm"):
        assert ours[kind] <= theirs[kind], kind
    assert ours["BatchNormalization"] == 0
