"""Functions between two quantized tensors become tables with the float64 values, and nothing else does."""

from __future__ import annotations

from math import erf

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from graphs import graph, op_types
from numpy.typing import NDArray

from edgevision.passes.attach_bodies import attach_bodies
from edgevision.passes.functions_as_tables import functions_as_tables

BEFORE, AFTER = 0.037, 0.021


def quantized(body: str, kind: str = "uint8", zeros: tuple[int, int] = (113, 7), to: str = "") -> ir.Model:
    """`body` makes v of u, which lies between the two quantizations."""
    return graph(f"""g ({kind}[1,3,4,64] q, float[1,3,4,64] other) => ({to or kind}[1,3,4,64] y)
        <float scale = {{{BEFORE}}}, {kind} zero = {{{zeros[0]}}}, float after = {{{AFTER}}}, {to or kind} zero_after = {{{zeros[1]}}},
         float root = {{1.4142135}}, float one = {{1.0}}, float half = {{0.5}}, float slope = {{-3.0}}> {{
        u = DequantizeLinear(q, scale, zero)
        {body}
        y = QuantizeLinear(v, after, zero_after)
    }}""")


def computed(model: ir.Model, q: NDArray[np.generic]) -> NDArray[np.generic]:
    """Through the bodies, by a runtime without our kernels."""
    attach_bodies(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    given = {"q": q, "other": np.ones(q.shape, np.float32)}
    return np.asarray(session.run(None, {i.name: given[i.name] for i in session.get_inputs()})[0])


def gelu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


WRITTEN_OUT = """r = Div(u, root)
    e = Erf(r)
    p = Add(e, one)
    h = Mul(p, half)
    v = Mul(u, h)"""
FUNCTIONS = {
    "gelu": ("v = Gelu(u)", gelu),
    "gelu written out": (
        WRITTEN_OUT,
        lambda x: x * 0.5 * (1 + np.vectorize(erf)(x / np.float64(np.float32(1.4142135)))),
    ),
    "silu": ("s = Sigmoid(u)\nv = Mul(u, s)", lambda x: x / (1 + np.exp(-x))),
    "hard swish, scaled": ("s = HardSwish(u)\nv = Mul(slope, s)", lambda x: -3 * x * np.clip(x / 6 + 0.5, 0, 1)),
    "square of a sum": ("s = Add(u, half)\nv = Mul(s, s)", lambda x: (x + 0.5) ** 2),
}


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_table_holds_the_functions_values(name: str, kind: str) -> None:
    """All 256 of them to the last bit, and saturated at both ends as QuantizeLinear does."""
    body, function = FUNCTIONS[name]
    zeros = (113, 7) if kind == "uint8" else (-9, -88)
    model = quantized(body, kind, zeros)
    assert len(functions_as_tables(model).applied) == 1
    assert op_types(model) == {"EvLookup": 1}
    q = np.random.default_rng().permutation(768).astype(np.uint8).view(kind).reshape(1, 3, 4, 64)
    x = ((q.astype(np.float32) - zeros[0]) * np.float32(BEFORE)).astype(np.float64)
    limits = np.iinfo(kind)
    wanted = np.clip(np.rint(function(x) / np.float64(np.float32(AFTER))) + zeros[1], limits.min, limits.max)
    np.testing.assert_array_equal(computed(model, q), wanted.astype(kind))


def test_the_runtimes_own_arithmetic_is_at_most_a_step_away() -> None:
    q = np.arange(768).astype(np.uint8).reshape(1, 3, 4, 64)
    before, after = quantized(FUNCTIONS["gelu"][0]), quantized(FUNCTIONS["gelu"][0])
    functions_as_tables(after)
    apart = np.abs(computed(before, q).astype(int) - computed(after, q))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01


@pytest.mark.parametrize(
    "body",
    [
        "s = Gelu(u)\nv = Add(s, other)",  # of two tensors
        "v = Softmax(u)",  # of its neighbours too
        "v = Log(u)",  # no number somewhere
        "v = Identity(u)",
    ],
)
def test_what_is_no_function_of_a_lone_value_stays(body: str) -> None:
    model = quantized(body)
    assert not functions_as_tables(model).modified


def test_integers_of_another_type_are_left_alone() -> None:
    assert not functions_as_tables(quantized("v = Gelu(u)", to="int8")).modified


def test_other_readers_keep_the_float_form() -> None:
    model = quantized("v = Gelu(u)")
    inner = next(node.outputs[0] for node in model.graph if node.op_type == "Gelu")
    inner.name, inner.type = "inner", ir.TensorType(ir.DataType.FLOAT)
    model.graph.outputs.append(inner)
    assert functions_as_tables(model).modified
    assert op_types(model) == {"DequantizeLinear": 1, "Gelu": 1, "EvLookup": 1}


def test_scales_of_channels_are_left_alone() -> None:
    model = quantized("v = Gelu(u)")
    for node in model.graph:
        if node.op_type == "QuantizeLinear":
            many = ir.tensor(np.full(3, AFTER, np.float32), name="many")
            value = ir.Value(name="many", const_value=many, shape=many.shape, type=ir.TensorType(many.dtype))
            model.graph.register_initializer(value)
            node.replace_input_with(1, value)
    assert not functions_as_tables(model).modified


def test_between_convolutions_it_works_channels_last() -> None:
    text = """g (uint8[1,4,6,5] q) => (float[1,4,6,5] y)
        <float scale = {0.037}, uint8 zero = {113}, float after = {0.021}, uint8 zero_after = {7}> {
        u = DequantizeLinear(q, scale, zero)
        v = Gelu(u)
        p = QuantizeLinear(v, after, zero_after)
        d = DequantizeLinear(p, after, zero_after)
        y = Conv<kernel_shape=[1,1]>(d, weight)
    }"""
    model = graph(text, {"weight": (4, 4, 1, 1)})
    before = model.clone()
    assert functions_as_tables(model).modified
    assert [n.op_type for n in model.graph][:3] == ["Transpose", "EvLookup", "Transpose"]
    assert model.graph[1].inputs[0].shape == ir.Shape([1, 6, 5, 4])
    q = np.random.default_rng().integers(0, 256, (1, 4, 6, 5)).astype(np.uint8)
    np.testing.assert_allclose(computed(model, q), computed(before, q), atol=0.05)
