"""What a graph that somebody else has exported, or a model of theirs, may hold that cannot be merged and proven as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgevision.errors import GraphError, ModelError

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["refuse_nan", "refuse_random", "refuse_training_mode", "unknown_operators"]

#: Domains whose operators ONNX Runtime has, or whose bodies we know.
_KNOWN = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "edgevision")
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
_TRAINING_MODE_SINCE = 14  # opset in which BatchNormalization got the attribute


def refuse_nan(model: ir.Model, file: str) -> None:
    """Read every initializer, external data too; ModelError for the first that has a NaN.

    Infinite values are no damage: masks are made of them.
    """
    for value in model.graph.initializers.values():
        if value.const_value is None:
            continue
        array = value.const_value.numpy()
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise ModelError(f"tensor {value.name} of {file}", "it has NaN values", "export it undamaged")


def refuse_training_mode(model: ir.Model) -> None:
    """GraphError for a norm on batch statistics, or a dropout that drops: they compute anew for every batch or run."""
    import onnx_ir

    opset = model.graph.opset_imports.get("", 0)
    for node in model.graph.all_nodes():
        trains = node.op_type == "BatchNormalization" and _norm_trains(node, opset)
        if node.op_type == "Dropout" and len(node.inputs) > 2 and node.inputs[2] is not None:
            mode = onnx_ir.convenience.get_const_tensor(node.inputs[2])
            trains = mode is not None and bool(mode.numpy().all())
        if trains:
            thing = f"{node.op_type} {node.name or node.outputs[0].name}"
            raise GraphError(thing, "it is in training mode", "export the model again after model.eval()")


def refuse_random(model: ir.Model) -> None:
    """GraphError for an operator that draws numbers: no two runs agree, and nothing can be proven of them."""
    for node in model.graph.all_nodes():
        if node.op_type in _RANDOM and node.domain in ("", "ai.onnx"):
            thing = f"{node.op_type} {node.name or node.outputs[0].name}"
            reason = "it draws new random numbers in every run, as dropout or a noisy gate does in train mode"
            raise GraphError(thing, reason, "call model.eval() before, or take the noise out of the model")


def _norm_trains(node: ir.Node, opset: int) -> bool:
    """By its attribute; before opset 14 by having more results than one."""
    if opset < _TRAINING_MODE_SINCE:
        return any(output.name for output in node.outputs[1:])
    return node.attributes.get_int("training_mode", 0) != 0


def unknown_operators(model: ir.Model) -> tuple[str, ...]:
    """`domain::Operator` of the nodes that are neither ONNX's, ONNX Runtime's, ours, nor defined in the file."""
    foreign = {
        f"{node.domain}::{node.op_type}"
        for node in model.graph.all_nodes()
        if node.domain not in _KNOWN and node.op_identifier() not in model.functions
    }
    return tuple(sorted(foreign))
