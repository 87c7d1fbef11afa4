"""Norms between two quantized tensors work on the integers themselves, and other norms stay."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from graphs import graph, op_types
from numpy.typing import NDArray

from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.fuse_channel_norm import fuse_channel_norm
from edgevision.passes.norm_channels_last import norm_channels_last
from edgevision.passes.norms_in_integers import norms_in_integers
from edgevision.passes.response_norms_in_integers import response_norms_in_integers

WEIGHTS = {"weight": (48,), "bias": (48,)}
ROWS = "y = LayerNormalization<axis=-1, epsilon=0.01>(u, weight, bias)"
MAPS = """last = Transpose<perm=[0,2,3,1]>(u)
        n = LayerNormalization<axis=-1, epsilon=0.01>(last, weight, bias)
        y = Transpose<perm=[0,3,1,2]>(n)"""


def quantized(body: str, shape: str, kind: str = "uint8", other: str = "") -> ir.Model:
    """`body` makes y of u, which lies between the two quantizations; `other` reads y too."""
    zeros = (113, 131) if kind == "uint8" else (-9, 4)
    text = f"""g ({kind}[{shape}] q) => (float[{shape}] r{f", float[{shape}] e" if other else ""})
        <float scale = {{0.04}}, {kind} zero = {{{zeros[0]}}}, float step = {{0.019}}, {kind} middle = {{{zeros[1]}}}> {{
        u = DequantizeLinear(q, scale, zero)
        {body}
        p = QuantizeLinear(y, step, middle)
        r = DequantizeLinear(p, step, middle)
        {other}
    }}"""
    return graph(text, {**WEIGHTS, **({"filter": (48, 48, 1, 1)} if other else {})})


def computed(model: ir.Model, q: NDArray[np.generic]) -> NDArray[np.float32]:
    copy = model.clone()
    attach_bodies(copy)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(ir.to_proto(copy).SerializeToString(), options)
    return np.asarray(session.run(None, {"q": q})[0])


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("form", ["rows", "maps", "maps channels last"])
def test_the_integers_give_what_the_floats_give(form: str, kind: str) -> None:
    """To the integer, but for one value in a thousand that lies at a tie. Scales and zero points are free."""
    rows, last = form == "rows", form.endswith("last")
    other = "e = Conv<kernel_shape=[1,1]>(y, filter)" if last else ""
    model = quantized(ROWS if rows else MAPS, "2,7,48" if rows else "1,48,6,5", kind, other)
    before = model.clone()
    if not rows:
        assert fuse_channel_norm(model).modified
    if last:
        assert norm_channels_last(model).modified
        model.graph.outputs.pop()  # the convolution, for which the norm was turned
    assert len(norms_in_integers(model).applied) == 1
    kinds = op_types(model)
    assert (kinds["EvIntegerNorm"], kinds["EvChannelNorm"], kinds["LayerNormalization"], kinds["Reshape"]) == (
        1,
        0,
        0,
        0,
    )
    assert kinds["Transpose"] == (0 if rows else 2)
    q = np.random.default_rng().integers(0, 256, before.graph.inputs[0].shape.numpy()).astype(np.uint8).view(kind)
    apart = np.abs(computed(before, q) - computed(model, q))
    assert apart.max() <= 0.019 * 1.001
    assert (apart > 0.01).mean() < 0.01


@pytest.mark.parametrize(
    "body",
    [
        ROWS.replace("axis=-1", "axis=1"),
        "y = LayerNormalization<axis=-1>(u, weight, u)",
        "h = Relu(u)\n y = LayerNormalization<axis=-1>(h, weight, bias)",
    ],
)
def test_other_norms_stay(body: str) -> None:
    """Over two axes, with a shift that is computed, of what is not quantized."""
    text = body.replace("(u, weight, bias)", "(u, wide, wide)") if "axis=1" in body else body
    model = quantized(text, "2,7,48")
    if "axis=1" in body:
        model = graph(
            f"""g (uint8[2,7,48] q) => (uint8[2,7,48] p) <float scale = {{0.04}}, uint8 zero = {{9}}> {{
                u = DequantizeLinear(q, scale, zero)
                {text}
                p = QuantizeLinear(y, scale, zero)
            }}""",
            {"wide": (7, 48)},
        )
    assert not norms_in_integers(model).modified


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("gelu", [0, 1])
def test_a_response_norm_looks_its_argument_up(gelu: int, kind: str) -> None:
    body = f"y = edgevision.EvResponseNorm<epsilon=0.001, gelu={gelu}>(u, weight)"
    model = quantized(body, "1,48,6,5", kind)
    for node in model.graph:  # which no shape inference knows
        for value in node.outputs:
            value.shape, value.type = ir.Shape([1, 48, 6, 5]), value.type or ir.TensorType(ir.DataType.FLOAT)
    before = model.clone()
    assert len(response_norms_in_integers(model).applied) == 1
    assert op_types(model) == {"Transpose": 2, "EvIntegerResponseNorm": 1, "DequantizeLinear": 1}
    q = np.random.default_rng().integers(0, 256, (1, 48, 6, 5)).astype(np.uint8).view(kind)
    apart = np.abs(computed(before, q) - computed(model, q))
    assert apart.max() <= 0.019 * 1.001
    assert (apart > 0.01).mean() < 0.01
