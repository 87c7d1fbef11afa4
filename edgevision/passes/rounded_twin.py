"""The float32 twin of a half-precision graph: what storing tensors in half precision costs, and nothing else.

The twin is the graph before the cast, with a rounding to half precision wherever the cast graph reads or writes a half
tensor; all arithmetic stays float32. Its distance from the model is the price of the precision for this very graph and
these inputs: the measure of what an engine in half precision may differ by, instead of one constant for all networks.
It also runs where half arithmetic does not (ONNX Runtime's CPU has no bfloat16 kernels).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from edgevision.passes.cast_precision import CastPrecision

__all__ = ["cast_with_twin"]


def cast_with_twin(model: ir.Model, cast: CastPrecision) -> ir.Model:
    """Apply `cast` to `model` in place; the twin of what it has become."""
    common_passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    twin = model.clone()
    pairs = list(zip(list(model.graph), list(twin.graph), strict=True))
    cast(model)
    half = ir.DataType.FLOAT16 if cast.to == "fp16" else ir.DataType.BFLOAT16
    rounding = _Rounding(twin.graph, half)
    for node, own in pairs:
        for index, value in enumerate(node.inputs):
            if value is not None and value.dtype == half:
                rounding.read(own, index)
        for value, output in zip(node.outputs, own.outputs, strict=True):
            if value.dtype == half:
                rounding.write(output)
    return twin


class _Rounding:
    """Rounded views of values, one each: a pair of Casts, or a constant with rounded elements."""

    def __init__(self, graph: ir.Graph, half: ir.DataType) -> None:
        self._graph, self._half = graph, half
        self._views: dict[ir.Value, ir.Value] = {}
        self._rounded: set[ir.Value] = set()

    def read(self, node: ir.Node, index: int) -> None:
        """Input `index` of `node` is rounded before it is read, unless it was when it was written."""
        value = node.inputs[index]
        if value is not None and value.dtype == ir.DataType.FLOAT and value not in self._rounded:
            node.replace_input_with(index, self._view(value))

    def write(self, value: ir.Value) -> None:
        """Every reader of `value`, the graph's output included, gets it rounded."""
        if value.dtype != ir.DataType.FLOAT or value in self._rounded:
            return
        uses, name = tuple(value.uses()), value.name
        outputs = [index for index, output in enumerate(self._graph.outputs) if output is value]
        view = self._view(value)
        for use in uses:
            use.node.replace_input_with(use.idx, view)
        for index in outputs:
            self._graph.outputs[index] = view
        if outputs:
            value.name, view.name = f"{name}_unrounded", name

    def _view(self, value: ir.Value) -> ir.Value:
        if value not in self._views:
            view = self._constant(value) if value.is_initializer() else self._casts(value)
            self._views[value] = view
            self._rounded.add(view)
        return self._views[value]

    def _constant(self, value: ir.Value) -> ir.Value:
        assert value.const_value is not None  # the cast has read it
        name = f"{value.name}_rounded"
        with np.errstate(over="ignore"):  # the twin computes infinity then, as the half graph does
            array = value.const_value.numpy().astype(self._half.numpy()).astype(np.float32)
        view = ir.Value(name=name, shape=value.shape, type=value.type, const_value=ir.tensor(array, name=name))
        self._graph.register_initializer(view)
        return view

    def _casts(self, value: ir.Value) -> ir.Value:
        narrow = ir.node("Cast", [value], {"to": int(self._half)}, name=f"{value.name}/narrow")
        narrow.outputs[0].name = f"{value.name}_narrow"
        view = ir.Value(name=f"{value.name}_rounded", shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT))
        widen = ir.node(
            "Cast", narrow.outputs, {"to": int(ir.DataType.FLOAT)}, outputs=[view], name=f"{value.name}/widen"
        )
        producer = value.producer()
        if producer is None:
            self._graph.insert_before(next(iter(self._graph)), [narrow, widen])
        else:
            self._graph.insert_after(producer, [narrow, widen])
        return view
