"""The graph TensorRT's parser is given: standard operators, our plugins, and every precision written into it.

The parser keys functions by op type alone and would take the first body for all nodes of an operator, so no node may
rely on its function here: a node that a plugin takes is counted after the parse, and every other node is inlined. A
plugin node keeps a function all the same, so that the very same file runs in ONNX Runtime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from edgevision.errors import GraphError
from edgevision.ops.operator import DOMAIN, Operator, Signature
from edgevision.passes.attach_bodies import attach_bodies, custom_nodes, signature_of
from edgevision.passes.cast_precision import KEPT, CastPrecision
from edgevision.passes.dft_as_matmul import dft_as_matmul
from edgevision.passes.inline_bodies import inline_bodies
from edgevision.passes.rounded_twin import cast_with_twin
from edgevision.targets.target import Precision
from edgevision.targets.tensorrt.half_body import half_body
from edgevision.targets.tensorrt.plugins.plugin import Call, ElementType, Plugin, plugins

__all__ = ["PluginNode", "Prepared", "prepare"]

#: State elements of a scan above which the radix-8 body needs less scratch memory than the log-depth one.
_LARGE_STATE: Final = 1 << 20
_TYPES: Final[Mapping[ir.DataType, ElementType]] = {ir.DataType.FLOAT: "fp32", ir.DataType.FLOAT16: "fp16"}
#: bfloat16 reaches the common operators' type lists in this opset.
_BF16_OPSET: Final = 22
#: TensorRT for RTX 1.7 cannot type it: "Could not infer output types for operation: deconv".
_NO_BF16: Final = frozenset(["ConvTranspose"])


@dataclass(frozen=True, kw_only=True)
class PluginNode:
    """A node that a plugin takes: its name, its operator and the call it makes."""

    name: str
    operator: str
    call: Call


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The parser's graph.

    Attributes:
        model: the graph.
        nodes: the plugin nodes, in order.
        notes: what was decided on the way, one sentence each.
        twin: in half precision, the float32 graph that only rounds what `model` stores in half.
    """

    model: ir.Model
    nodes: Sequence[PluginNode]
    notes: Sequence[str]
    twin: ir.Model | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Plugin nodes by operator."""
        return dict(Counter(node.operator for node in self.nodes))

    @property
    def plugin_inputs(self) -> dict[str, int]:
        """How many inputs the nodes of an operator have, for those operators whose nodes agree."""
        counts: dict[str, set[int]] = {}
        for node in self.nodes:
            counts.setdefault(node.operator, set()).add(sum(shape is not None for shape in node.call.shapes))
        return {operator: found.pop() for operator, found in counts.items() if len(found) == 1}


def prepare(source: ir.Model, *, precision: Precision, use_plugins: bool, batch: int) -> Prepared:
    """Make the parser's graph of `source`, which is left as it is. `batch` is the size to choose bodies for."""
    model = source.clone()
    if precision == "bf16":
        _raise_opset(model)
    notes = [f"{d.where[0]} stays a DFT: {d.reason}" for d in dft_as_matmul(model).declined]
    _know_shapes(model)
    refused = _refused(model) if use_plugins else {}
    notes += [f"node {name} is inlined: the plugin does not take {reason}" for name, reason in refused.items()]

    def by_plugin(node: ir.Node) -> bool:
        return use_plugins and node.op_type in plugins() and node.name not in refused

    def form(operator: Operator, signature: Signature) -> ir.Function:
        return _body(operator, signature, batch)

    # A filter bank is a convolution and may run in half precision; a scan without a plugin is cast as one float32 node.
    if any(True for _ in custom_nodes(model)):
        attach_bodies(model, form)
        inline_bodies(model, lambda node: not by_plugin(node) and node.op_type != "EvSelectiveScan")
        _know_shapes(model)
    twin = _cast(model, precision, by_plugin) if precision in ("fp16", "bf16") else None
    if twin is not None and any(True for _ in custom_nodes(twin)):
        attach_bodies(twin)
    _fill_absent_inputs(model)
    if any(True for _ in custom_nodes(model)):
        attach_bodies(model, lambda op, sig: half_body(op, sig) if _is_half(sig) else _body(op, sig, batch))
        inline_bodies(model, lambda node: not by_plugin(node))
    common_passes.RemoveUnusedNodesPass()(model)
    nodes = [_plugin_node(node, operator) for node, operator in custom_nodes(model)]
    return Prepared(model=model, nodes=tuple(nodes), notes=tuple(notes), twin=twin)


def _raise_opset(model: ir.Model) -> None:
    """The converter inlines every function it meets, so that the bodies go first; they are written anew afterwards."""
    from onnxscript import version_converter

    if model.opset_imports.get("", _BF16_OPSET) < _BF16_OPSET:
        for key in [key for key in model.functions if key[0] == DOMAIN]:
            del model.functions[key]
        version_converter.convert_version(model, _BF16_OPSET)


def _know_shapes(model: ir.Model) -> None:
    values = [value for node in model.graph for value in node.outputs]
    if any(value.shape is None or value.dtype is None for value in values):
        common_passes.ShapeInferencePass()(model)


def _refused(model: ir.Model) -> dict[str, str]:
    """Custom nodes whose plugin cannot take them, with the reason."""
    found = {}
    for node, operator in custom_nodes(model):
        plugin = plugins().get(operator.name)
        try:
            reason = plugin.why_not(_call(node, operator, plugin)) if plugin else "this operator"
        except GraphError as error:
            reason = f"{error.thing}: {error.reason}"
        if reason:
            found[str(node.name)] = reason
    return found


def _call(node: ir.Node, operator: Operator, plugin: Plugin) -> Call:
    signature = signature_of(node, operator)
    given = [node.inputs[i] if i < len(node.inputs) else None for i in range(len(plugin.inputs))]
    return Call(
        shapes=signature.shapes,
        types=tuple(None if value is None else _TYPES.get(value.dtype or ir.DataType.FLOAT, "fp32") for value in given),
        attributes={name: _attribute(signature, name) for name in plugin.attributes},
    )


def _attribute(signature: Signature, name: str) -> int | str | tuple[int, ...]:
    value = signature.attributes[name]
    if isinstance(value, float):
        raise TypeError(f"attribute {name} is a float, which no plugin here has")
    return value


def _plugin_node(node: ir.Node, operator: Operator) -> PluginNode:
    call = _call(node, operator, plugins()[operator.name])
    return PluginNode(name=str(node.name), operator=operator.name, call=call)


def _body(operator: Operator, signature: Signature, batch: int) -> ir.Function:
    """For a scan the loop-free form that suits its size; a serial loop on the device is many times slower."""
    if operator.name != "EvSelectiveScan":
        return operator.bodies["canonical"](signature)
    delta, rates = signature.shapes[1], signature.shapes[2]
    sizes = [batch if size is None else size for size in (*(delta or ()), *(rates or ())[1:])]
    return operator.bodies["radix8" if prod(sizes) > _LARGE_STATE else "log_depth"](signature)


def _is_half(signature: Signature) -> bool:
    return signature.element_type == int(ir.DataType.FLOAT16)


def _cast(model: ir.Model, precision: Precision, by_plugin: Callable[[ir.Node], bool]) -> ir.Model:
    """Plugins compute in float32 whatever the storage, so that float16 data may go straight into them.

    Returns the twin of what `model` becomes.
    """
    if precision == "bf16":
        return cast_with_twin(model, CastPrecision(to="bf16", keep=KEPT | _NO_BF16))
    inlined = {node.op_type for node, _ in custom_nodes(model) if not by_plugin(node)}
    parameters = {
        name: frozenset(index for index, tensor in enumerate(plugin.inputs) if not tensor.data)
        for name, plugin in plugins().items()
        if name not in inlined
    }
    return cast_with_twin(model, CastPrecision(to="fp16", parameters=parameters))


def _fill_absent_inputs(model: ir.Model) -> None:
    """TensorRT cannot pass an absent input to a plugin unless it is the last: D = 0 and a bias of 0 say the same."""
    for node, operator in custom_nodes(model):
        plugin = plugins().get(operator.name)
        for index, value in enumerate(node.inputs):
            if value is None and plugin is not None and plugin.inputs[index].neutral is not None:
                neutral = float(plugin.inputs[index].neutral or 0.0)
                node.replace_input_with(index, _filled(model, node, index, neutral))


def _filled(model: ir.Model, node: ir.Node, index: int, neutral: float) -> ir.Value:
    import numpy as np

    rates = node.inputs[2]
    if rates is None or rates.shape is None or not isinstance(rates.shape[0], int):
        raise GraphError(f"node {node.name}", "the shape of A is unknown", "infer shapes first")
    array = np.full(rates.shape[0], neutral, np.float32)
    name = f"{node.name}_input_{index}"
    value = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.FLOAT),
        const_value=ir.tensor(array, name=name),
    )
    model.graph.register_initializer(value)
    return value
