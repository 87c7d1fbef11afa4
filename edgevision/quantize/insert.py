"""Q/DQ pairs into a graph, so placed that runtimes fuse them.

A written tensor is quantized right behind its producer and all its readers take the DequantizeLinear's output; a read
one keeps its float form for its other readers. Weights and biases become integer initializers behind a
DequantizeLinear. Tensors that share a scale share its initializers.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.calibration.calibrators import Method, Range
from edgevision.errors import GraphError
from edgevision.quantize.bias_correction import mean_shift
from edgevision.quantize.parameters import Quantized, activation_parameters, quantized_bias, quantized_weight
from edgevision.quantize.plan import Plan, weight_axis
from edgevision.quantize.scheme import Scheme

__all__ = ["insert"]


def insert(
    model: ir.Model,
    plan: Plan,
    scheme: Scheme,
    ranges: Mapping[str, Range],
    method: Method,
    means: Mapping[str, NDArray[Any]] | None = None,
    adapted: Mapping[str, Quantized] | None = None,
    rounded: MutableMapping[tuple[str, float], Quantized] | None = None,
) -> None:
    """Quantize `model` in place after `plan`, with `ranges` by tensor name.

    With `means` (per channel, by tensor name) biases take back what rounding the weights does to the mean; operators
    without a bias, and inputs without a mean, stay as they are. `adapted` has weights that are rounded otherwise than to the
    nearest, by the name of what their operator writes; one counts as long as its scales are those of the nearest. `rounded`
    keeps weights from one form of a graph to the next, by the same name and the scale of what the operator reads:
    searching their scales takes longer than all the rest.
    """
    inserter = _Inserter(model, scheme, method, means or {}, adapted or {}, {} if rounded is None else rounded)
    for value in plan.tensors:
        source = _root(value, plan.scale_of)
        inserter.scales[value] = inserter.parameters(source, ranges)
    originals = {node: list(node.inputs) for node in plan.linear}
    for value in plan.written:
        inserter.pair(value, [use.node for use in value.uses()])
    quantized = {*plan.linear, *plan.joined}
    for value in plan.read:
        inserter.pair(value, [use.node for use in value.uses() if use.node in quantized])
    for node, inputs in originals.items():
        source_input = inputs[0]
        assert source_input is not None  # the plan admits no linear operator without an input
        inserter.weights(node, inserter.scales[source_input][0], str(source_input.name))
    for name, constant in list(model.graph.initializers.items()):
        if not constant.uses() and not constant.is_graph_output():
            model.graph.initializers.pop(name)  # the float weights, whose integers are there now


def _root(value: ir.Value, scale_of: Mapping[ir.Value, ir.Value]) -> ir.Value:
    while value in scale_of:
        value = scale_of[value]
    return value


class _Inserter:
    """The graph under change, with the initializers made so far."""

    def __init__(
        self,
        model: ir.Model,
        scheme: Scheme,
        method: Method,
        means: Mapping[str, NDArray[Any]],
        adapted: Mapping[str, Quantized],
        rounded: MutableMapping[tuple[str, float], Quantized],
    ) -> None:
        self._means, self._adapted, self._rounded = means, adapted, rounded
        self._graph, self._scheme, self._method = model.graph, scheme, method
        self._made: dict[str, tuple[ir.Value, ir.Value, np.float32]] = {}
        self.scales: dict[ir.Value, tuple[np.float32, ir.Value, ir.Value]] = {}

    def parameters(self, source: ir.Value, ranges: Mapping[str, Range]) -> tuple[np.float32, ir.Value, ir.Value]:
        """Scale, and the initializers of scale and zero point, of the tensor `source`."""
        name = str(source.name)
        if name not in self._made:
            if name not in ranges:
                raise GraphError(f"tensor {name}", "it was not observed while calibrating", "this is a defect of ours")
            form = self._scheme.activations
            scale, zero = activation_parameters(ranges[name], form)
            kind = np.uint8 if form.type == "uint8" else np.int8
            self._made[name] = (
                self._constant(f"{name}_scale", np.asarray(scale, np.float32)),
                self._constant(f"{name}_zero_point", np.asarray(zero, kind)),
                scale,
            )
        scale_value, zero_value, scale = self._made[name]
        return scale, scale_value, zero_value

    def pair(self, value: ir.Value, readers: list[ir.Node]) -> None:
        """Q and DQ behind `value`; `readers` take the DQ's output."""
        _, scale, zero = self.scales[value]
        quantize = ir.node("QuantizeLinear", [value, scale, zero], name=f"{value.name}_quantize")
        dequantize = ir.node("DequantizeLinear", [quantize.outputs[0], scale, zero], name=f"{value.name}_dequantize")
        quantize.outputs[0].name, dequantize.outputs[0].name = f"{value.name}_quantized", f"{value.name}_dequantized"
        quantize.outputs[0].shape, dequantize.outputs[0].shape = value.shape, value.shape
        quantize.outputs[0].type, dequantize.outputs[0].type = (
            ir.TensorType(zero.dtype or ir.DataType.UINT8),
            value.type,
        )
        producer = value.producer()
        if producer is None:
            self._graph.insert_before(self._graph[0], [quantize, dequantize])
        else:
            self._graph.insert_after(producer, [quantize, dequantize])
        for reader in dict.fromkeys(readers):
            for index, given in enumerate(reader.inputs):
                if given is value:
                    reader.replace_input_with(index, dequantize.outputs[0])

    def weights(self, node: ir.Node, input_scale: np.float32, source: str) -> None:
        """The weight of a linear operator in int8, its bias in int32 where the scheme says so."""
        bias_value = node.inputs[2] if len(node.inputs) > 2 else None
        bias = None if bias_value is None else _array(bias_value)
        weight_value = node.inputs[1]
        assert weight_value is not None  # the plan admits constant weights only
        key, form = (str(node.outputs[0].name), float(input_scale)), self._scheme.weights
        weight = self._rounded.get(key)
        if weight is None:
            axis, exact = weight_axis(node), _array(weight_value)
            weight = quantized_weight(exact, axis, form, self._method, _flat(bias), float(input_scale))
            self._rounded[key] = weight
        other = self._adapted.get(key[0])
        if other is not None and np.array_equal(other.scales, weight.scales):
            weight = other
        if bias is not None and bias_value is not None and source in self._means:
            bias = self._corrected(node, bias, _array(weight_value), weight, source)
            if form.bias == "float":
                node.replace_input_with(2, self._constant(f"{node.outputs[0].name}_{bias_value.name}_corrected", bias))
        node.replace_input_with(1, self._dequantize(weight_value, weight, node, np.int8))
        if bias is not None and bias_value is not None and form.bias == "int32":
            flat = np.broadcast_to(bias.reshape(-1), weight.scales.shape)
            integers = quantized_bias(flat, input_scale, weight.scales)
            node.replace_input_with(2, self._dequantize(bias_value, integers, node, np.int32))

    def _corrected(
        self, node: ir.Node, bias: NDArray[Any], exact: NDArray[Any], weight: Quantized, source: str
    ) -> NDArray[Any]:
        """The bias with the shift of the mean that rounding the weight makes taken off."""
        steps = weight.scales.astype(np.float64).reshape([-1 if i == weight.axis else 1 for i in range(exact.ndim)])
        groups = node.attributes.get_int("group", 1)
        error = weight.values * steps - exact
        return np.asarray(bias - mean_shift(error, self._means[source], node.op_type, weight.axis, groups), np.float32)

    def _dequantize(
        self, value: ir.Value, quantized: Quantized, node: ir.Node, kind: type[np.integer[Any]]
    ) -> ir.Value:
        stem = f"{node.name or node.outputs[0].name}_{value.name}"
        apart = self._scheme.weights.per_channel
        scales = quantized.scales if apart else np.asarray(quantized.scales[0])
        zeros = np.zeros(scales.shape, kind)
        dequantize = ir.node(
            "DequantizeLinear",
            [
                self._constant(f"{stem}_quantized", quantized.values),
                self._constant(f"{stem}_scale", scales),
                self._constant(f"{stem}_zero_point", zeros),
            ],
            {"axis": quantized.axis} if apart else {},
            name=f"{stem}_dequantize",
        )
        out = dequantize.outputs[0]
        out.name, out.type, out.shape = f"{stem}_dequantized", value.type, ir.Shape(quantized.values.shape)
        self._graph.insert_before(node, dequantize)
        return out

    def _constant(self, name: str, array: NDArray[Any]) -> ir.Value:
        tensor = ir.tensor(np.ascontiguousarray(array) if array.ndim else array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        if name in self._graph.initializers:
            raise GraphError(f"tensor {name}", "its name is taken", "is this graph already quantized?")
        self._graph.register_initializer(value)
        return value


def _array(value: ir.Value) -> NDArray[Any]:
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None:
        raise GraphError(f"tensor {value.name}", "it is not a constant", "this is a defect of ours")
    return np.asarray(tensor.numpy())


def _flat(bias: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if bias is None else bias.reshape(-1)
