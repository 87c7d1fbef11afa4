"""Elementwise functions of one quantized tensor, between its DequantizeLinear and a QuantizeLinear, as one EvLookup.

    QuantizeLinear(f(DequantizeLinear(q))) = table[q],  table[i] = QuantizeLinear(f(DequantizeLinear(i)))

f may be any tree of elementwise operators over that tensor and scalar constants: GELU, x sigmoid(x) written out, a
constant factor. Its 256 values are computed in float64 and rounded once. Where a convolution stands on either side, the
table works channels last, as quantized convolutions do: ONNX Runtime pushes that layout through no operator of ours, so
its transposes are spelled out and meet those of the convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from edgevision.ops.operator import DOMAIN, PLUGIN_ATTRIBUTES
from edgevision.passes.convolution import produced_by
from edgevision.passes.graph_pass import PassResult
from edgevision.passes.quantization_span import Span, span_of
from edgevision.passes.rewriting import rewrite_all
from edgevision.reparam.matching import is_standard
from edgevision.reparam.rewrite import Rewrite, Step, Weights

__all__ = ["FUNCTIONS", "function_of", "functions_as_tables"]

#: Elementwise operators whose result at a place depends on nothing but their operands there.
FUNCTIONS = frozenset(
    [
        "Abs",
        "Add",
        "Celu",
        "Clip",
        "Cos",
        "Div",
        "Elu",
        "Erf",
        "Exp",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Log",
        "Max",
        "Min",
        "Mish",
        "Mul",
        "Neg",
        "Pow",
        "Reciprocal",
        "Relu",
        "Selu",
        "Sigmoid",
        "Sin",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Tanh",
        "ThresholdedRelu",
    ]
)


def functions_as_tables(model: ir.Model) -> PassResult:
    """Replace every such place of the main graph, in place."""
    return rewrite_all(model, _equation)


def function_of(value: ir.Value | None, takes: Callable[[ir.Node], bool]) -> tuple[list[ir.Node], ir.Value] | None:
    """The elementwise nodes, first to last, that make `value` a function of one other tensor, and that tensor.

    The tree reaches back through the nodes that `takes` accepts; None where it comes from more than one tensor.
    """
    found: dict[ir.Node, None] = {}
    roots: dict[ir.Value, None] = {}

    def collect(value: ir.Value) -> None:
        node = value.producer()
        if node in found:
            return
        if node is None or not is_standard(node) or not takes(node):
            roots[value] = None
            return
        for operand in node.inputs:
            if operand is not None and not _scalar(operand):
                collect(operand)
        found[node] = None

    if value is not None:
        collect(value)
    return (list(found), next(iter(roots))) if found and len(roots) == 1 else None


def _scalar(value: ir.Value) -> bool:
    tensor = ir.convenience.get_const_tensor(value)
    return tensor is not None and tensor.size == 1


def _equation(node: ir.Node) -> Rewrite | None:
    if node.op_type != "QuantizeLinear" or not is_standard(node):
        return None
    after, found = span_of(node), function_of(node.inputs[0], lambda inner: inner.op_type in FUNCTIONS)
    if found is None or after is None:
        return None
    nodes, x = found
    source = produced_by(x, "DequantizeLinear")
    before = None if source is None else span_of(source)
    q = None if source is None else source.inputs[0]
    if before is None or q is None or before.kind != after.kind or q.shape is None:
        return None
    proto = _proto(nodes, x)
    table = None if proto is None else _table(proto, before, after)
    if table is None:
        return None
    entries = Weights(array=table.astype(np.int64), name=f"{node.outputs[0].name}_table", dtype=table.dtype)
    return Rewrite(equation="functions_as_tables", old=(node,), new=_step(q, entries, node), probes={})


def _step(q: ir.Value, table: Weights, quantize: ir.Node) -> Step:
    result = quantize.outputs[0]
    shape = q.shape
    if shape is None or len(shape) != 4 or not (_from_conv(q) or _to_conv(result)):
        return Step(op_type="EvLookup", inputs=(q, table), attributes=PLUGIN_ATTRIBUTES, shape=shape, domain=DOMAIN)
    turned = ir.Shape([shape[i] for i in (0, 2, 3, 1)])
    last = Step(op_type="Transpose", inputs=(q,), attributes={"perm": (0, 2, 3, 1)}, shape=turned)
    lookup = Step(op_type="EvLookup", inputs=(last, table), attributes=PLUGIN_ATTRIBUTES, shape=turned, domain=DOMAIN)
    return Step(op_type="Transpose", inputs=(lookup,), attributes={"perm": (0, 3, 1, 2)}, shape=shape)


def _from_conv(q: ir.Value) -> bool:
    quantize = produced_by(q, "QuantizeLinear")
    return quantize is not None and produced_by(quantize.inputs[0], "Conv") is not None


def _to_conv(q: ir.Value) -> bool:
    readers = [use.node for use in q.uses() if use.node.op_type == "DequantizeLinear"]
    return any(use.node.op_type == "Conv" for reader in readers for use in reader.outputs[0].uses())


def _proto(nodes: list[ir.Node], x: ir.Value) -> bytes | None:
    """The functions as a model of doubles from `x` to `y`."""
    names: dict[ir.Value, str] = {x: "x"}
    constants: list[onnx.TensorProto] = []
    made: list[onnx.NodeProto] = []
    for node in nodes:
        inputs = []
        for operand in node.inputs:
            if operand is not None and operand not in names:
                tensor = ir.convenience.get_const_tensor(operand)
                if tensor is None:
                    return None
                names[operand] = f"c{len(constants)}"
                constants.append(
                    onnx.numpy_helper.from_array(tensor.numpy().reshape(()).astype(np.float64), names[operand])
                )
            inputs.append("" if operand is None else names[operand])
        names[node.outputs[0]] = f"v{len(made)}"
        attributes = {name: attribute.value for name, attribute in node.attributes.items()}
        made.append(onnx.helper.make_node(node.op_type, inputs, [names[node.outputs[0]]], **attributes))
    made[-1].output[0] = "y"
    x_info, y_info = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.DOUBLE, [256]) for n in ("x", "y"))
    opset = nodes[0].graph.opset_imports.get("") if isinstance(nodes[0].graph, ir.Graph) else None
    graph = onnx.helper.make_graph(made, "function", [x_info], [y_info], constants)
    opsets = [onnx.helper.make_opsetid("", opset or 20)]
    return bytes(onnx.helper.make_model(graph, opset_imports=opsets).SerializeToString(deterministic=True))


@lru_cache(maxsize=1024)
def _table(proto: bytes, before: Span, after: Span) -> NDArray[np.integer] | None:
    """Entries by the bits of the quantized argument; None where the function is not a number somewhere."""
    x = before.values()
    with np.errstate(all="ignore"):
        y = np.asarray(ReferenceEvaluator(onnx.load_model_from_string(proto)).run(None, {"x": x})[0], np.float64)
    if np.isnan(y).any():
        return None
    limits = np.iinfo(after.kind)
    table: NDArray[np.integer] = np.clip(np.rint(y / after.scale) + after.zero, limits.min, limits.max).astype(
        after.kind
    )
    return table
