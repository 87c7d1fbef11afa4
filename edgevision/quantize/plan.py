"""Which operators of a graph run in 8 bits under a scheme, and which tensors are quantized for them.

Linear operators with constant weights come first. An elementwise operator joins when its full-size inputs come from
quantized operators and something quantized reads it; a layout operator joins in the same way and shares its input's
scale, and so does a function of one quantized tensor, however many nodes it is written in, where the target looks it up
in a table. A tensor that leads to a graph output through layout operators alone stays float: it is the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from edgevision.passes.functions_as_tables import function_of
from edgevision.quantize.scheme import Scheme

__all__ = ["Plan", "make_plan", "node_label", "result_of", "weight_axis"]

#: A convolution over no more channels than this is a stem.
_IMAGE_CHANNELS = 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to quantize.

    Attributes:
        linear: linear operators that run in 8 bits.
        joined: elementwise and layout operators that run between them in 8 bits; of a function its last node.
        written: tensors quantized where they are produced; every consumer reads the quantized form.
        read: float tensors quantized for their quantized readers only.
        scale_of: tensor -> the tensor whose scale it shares.
        declined: linear operators that stay float, with the reason.
    """

    linear: tuple[ir.Node, ...]
    joined: tuple[ir.Node, ...]
    written: tuple[ir.Value, ...]
    read: tuple[ir.Value, ...]
    scale_of: Mapping[ir.Value, ir.Value]
    declined: Mapping[str, str]

    @property
    def tensors(self) -> tuple[ir.Value, ...]:
        """Every quantized tensor."""
        return (*self.written, *self.read)


def make_plan(model: ir.Model, scheme: Scheme, exclude: Collection[str] = ()) -> Plan:
    """The plan for `model`; nodes whose name or op type is in `exclude` stay float."""
    linear, declined = _linear(model, scheme, exclude)
    answers = _answers(model, scheme)
    if scheme.activations.outputs:
        for node in [n for n in linear if n.op_type not in scheme.float_outputs and result_of(n, scheme) in answers]:
            linear.remove(node)
            declined[node_label(node)] = "its output is the model's answer"
    joined, arguments = _joined(model, scheme, exclude, linear, answers)
    written: dict[ir.Value, None] = {}
    if scheme.activations.outputs:
        for node in linear:
            result = result_of(node, scheme)
            if result not in answers and (node.op_type not in scheme.float_outputs or _reads(result, joined)):
                written[result] = None
        for node in joined:
            written |= dict.fromkeys(node.outputs if node in arguments else _results(node, scheme))
    read = {v: None for n in (*linear, *joined) for v in _quantized_inputs(n, arguments) if v not in written}
    moved = [node for node in joined if node.op_type in scheme.layout and node not in arguments]
    scale_of = {out: node.inputs[0] for node in moved for out in node.outputs}
    return Plan(
        linear=tuple(linear),
        joined=tuple(joined),
        written=tuple(written),
        read=tuple(read),
        scale_of={v: s for v, s in scale_of.items() if s is not None},
        declined=declined,
    )


def weight_axis(node: ir.Node) -> int:
    """Axis of a linear operator's weight that counts its output channels."""
    if node.op_type == "Gemm":
        return 0 if node.attributes.get_int("transB", 0) else 1
    return -1 if node.op_type == "MatMul" else 0


def _linear(model: ir.Model, scheme: Scheme, exclude: Collection[str]) -> tuple[list[ir.Node], dict[str, str]]:
    chosen, declined = [], {}
    for node in model.graph:
        if node.domain or node.op_type not in scheme.linear:
            continue
        excluded = node_label(node) in exclude or node.op_type in exclude
        reason = "excluded" if excluded else _why_float(node, scheme, exclude)
        if reason:
            declined[node_label(node)] = reason
        else:
            chosen.append(node)
    return chosen, declined


def _why_float(node: ir.Node, scheme: Scheme, exclude: Collection[str]) -> str:
    weight = None if node.inputs[1] is None else ir.convenience.get_const_tensor(node.inputs[1])
    if weight is None or weight.dtype != ir.DataType.FLOAT:
        return "its weight is not a float32 constant"
    if any(v is not None and ir.convenience.get_const_tensor(v) is None for v in node.inputs[2:]):
        return "its bias is not a constant"
    shape = tuple(weight.shape.numpy())
    if node.op_type == "Conv":
        if len(shape) - 2 not in scheme.conv_dimensions:
            return f"it is a convolution over {len(shape) - 2} dimensions"
        depthwise = shape[1] == 1 and node.attributes.get_int("group", 1) > 1
        if depthwise and (not scheme.depthwise or "depthwise" in exclude):
            return scheme.stays_float.get("depthwise", "it is depthwise")
        if "stem" in exclude and not depthwise and shape[1] <= _IMAGE_CHANNELS:
            return "it reads an image, whose few channels fill no vector"
    elif len(shape) != 2 or node.attributes.get_float("alpha", 1.0) != 1 or node.attributes.get_float("beta", 1.0) != 1:
        return "its weight is not a plain matrix"
    if node.op_type == "Gemm" and node.attributes.get_int("transA", 0) != 0:
        return "its input is transposed"
    if min(shape[:2]) < scheme.least_channels and not (node.op_type == "Conv" and shape[1] == 1):
        return f"fewer than {scheme.least_channels} channels"
    return ""


def _joined(
    model: ir.Model, scheme: Scheme, exclude: Collection[str], linear: list[ir.Node], answers: set[ir.Value]
) -> tuple[list[ir.Node], dict[ir.Node, ir.Value]]:
    """Elementwise and layout operators between quantized ones; of the functions among them the argument."""
    if not scheme.activations.outputs:
        return [], {}
    kinds = {*scheme.elementwise, *scheme.layout}
    candidates = [n for n in model.graph if not n.domain and not {n.op_type, n.name} & set(exclude)]
    available = {result_of(n, scheme) for n in linear if n.op_type not in scheme.float_outputs}
    functions = _Functions(frozenset(n for n in candidates if n.op_type in scheme.functions), available)
    arguments: dict[ir.Node, ir.Value] = {}
    reachable = []
    for node in candidates:
        argument = functions.argument(node)
        if argument is not None and functions.inside(node, argument):
            continue  # what comes of it in the end is one function too
        if argument is not None and node.outputs[0] not in answers:
            arguments[node] = argument
        elif node.op_type not in kinds or _results(node, scheme)[0] in answers or not _fed(node, available):
            continue
        available.update(node.outputs if node in arguments else _results(node, scheme))
        reachable.append(node)
    wanted = {v for n in linear for v in _data_inputs(n)}
    joined = []
    for node in reversed(reachable):
        if any(out in wanted for out in (node.outputs if node in arguments else _results(node, scheme))):
            wanted.update(_quantized_inputs(node, arguments))
            joined.append(node)
    return joined[::-1], arguments


@dataclass(frozen=True)
class _Functions:
    """Functions of one available tensor, made of `nodes`."""

    nodes: frozenset[ir.Node]
    available: set[ir.Value]

    def argument(self, node: ir.Node) -> ir.Value | None:
        """The available tensor that the result of `node` is a function of."""
        if node not in self.nodes or node.outputs[0] in self.available:
            return None
        found = function_of(node.outputs[0], lambda n: n in self.nodes and n.outputs[0] not in self.available)
        return found[1] if found is not None and found[1] in self.available else None

    def inside(self, node: ir.Node, argument: ir.Value) -> bool:
        """Whether all that is made of the node's result are functions of the same tensor."""
        out = node.outputs[0]
        users = [use.node for use in out.uses()]
        return bool(users) and not out.is_graph_output() and all(self.argument(user) is argument for user in users)


def _quantized_inputs(node: ir.Node, arguments: Mapping[ir.Node, ir.Value]) -> list[ir.Value]:
    return [arguments[node]] if node in arguments else _data_inputs(node)


def _fed(node: ir.Node, available: set[ir.Value]) -> bool:
    """Whether the inputs that matter are quantized already; a small one that is broadcast may be quantized for it."""
    inputs = _data_inputs(node)
    if len(inputs) < len(_operands(node)):
        return False  # a constant operand
    shape = node.outputs[0].shape
    full = [v for v in inputs if node.op_type not in ("Add", "Mul") or shape is None or v.shape == shape]
    return bool(full) and all(v in available for v in full)


def _operands(node: ir.Node) -> list[ir.Value]:
    every = node.op_type in ("Add", "Mul", "Concat")
    return [v for v in (node.inputs if every else node.inputs[:1]) if v is not None]


def _data_inputs(node: ir.Node) -> list[ir.Value]:
    """The activations a node reads."""
    return [v for v in _operands(node) if ir.convenience.get_const_tensor(v) is None]


def result_of(node: ir.Node, scheme: Scheme) -> ir.Value:
    """What a node writes: its output, or that of the activation that the output's quantization takes in."""
    out = node.outputs[0]
    uses = list(out.uses())
    if len(uses) == 1 and not out.is_graph_output() and uses[0].node.op_type in scheme.absorbed:
        absorbed: ir.Value = uses[0].node.outputs[0]
        return absorbed
    return out


def _results(node: ir.Node, scheme: Scheme) -> list[ir.Value]:
    """What an elementwise or layout operator writes; a sum's quantization takes in an activation too."""
    return [result_of(node, scheme)] if node.op_type == "Add" else list(node.outputs)


def _reads(value: ir.Value, joined: list[ir.Node]) -> bool:
    return any(use.node in joined for use in value.uses())


def _answers(model: ir.Model, scheme: Scheme) -> set[ir.Value]:
    """Graph outputs, and what becomes one by layout operators alone."""
    moving = {*scheme.layout, "Reshape", "Transpose", "DepthToSpace", "Flatten", "Squeeze"}
    found: set[ir.Value] = set(model.graph.outputs)
    for node in reversed(list(model.graph)):
        if node.op_type in moving and any(out in found for out in node.outputs) and node.inputs[0] is not None:
            found.add(node.inputs[0])
    return found


def node_label(node: ir.Node) -> str:
    """What a node is called: its name, or its output's where it has none."""
    return node.name or str(node.outputs[0].name)
