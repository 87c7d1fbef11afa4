"""What the two experts of a mixture cost on this machine: the coefficients of the latency-aware balance loss.

Both are built as one-node graphs, the shifting one with fixed-point activations as it is trained, and raced in ONNX Runtime.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx_ir as ir
from torch import nn

from edgevision.models.primitive_mixture import Mixture, set_latencies
from edgevision.ops.shift_code import ShiftCode
from edgevision.passes.unpack_shifts import unpack_shifts
from edgevision.shiftadd.convert import convert
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["expert_latencies", "profile_mixtures"]

_PS = ShiftCode(form="ps", bits=5)


def expert_latencies(features_in: int, features_out: int, tokens: int, *, seconds: float = 1.0) -> tuple[float, float]:
    """Milliseconds of a multiplying and of a shifting linear layer for [tokens, features_in], on one thread."""
    from edgevision.quantize.judge import race

    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((features_in, features_out)) / np.sqrt(features_in)).astype(np.float32)
    target = OnnxRuntime(threads=1)
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        multiply, shift = Path(name) / "multiply.onnx", Path(name) / "shift.onnx"
        ir.save(_layer(weight, tokens), multiply)
        shifted = _layer(weight, tokens)
        convert(shifted, _PS, ["layer"], activations="fixed")
        unpack_shifts(shifted)
        ir.save(shifted, shift)
        feed = rng.standard_normal((tokens, features_in)).astype(np.float32)
        with target.load(multiply) as first, target.load(shift) as second:
            speed = race(first, second, feed, seconds=seconds)
    return speed.first_ms, speed.second_ms


def profile_mixtures(model: nn.Module, tokens: int) -> tuple[float, float]:
    """Give the routers of `model` the latencies of its widest layer; returns both in milliseconds.

    Raises:
        ValueError: the model has no mixture of linear layers.
    """
    experts = [m.experts[0] for m in model.modules() if isinstance(m, Mixture)]
    linear = [e for e in experts if isinstance(e, nn.Linear)]
    if not linear:
        raise ValueError("the model has no mixture of linear layers")
    widest = max(linear, key=lambda e: e.weight.numel())
    multiply, shift = expert_latencies(widest.in_features, widest.out_features, tokens)
    set_latencies(model, multiply, shift)
    return multiply, shift


def _layer(weight: np.ndarray, tokens: int) -> ir.Model:
    features_in, features_out = weight.shape
    tensor = ir.tensor(weight, name="weight")
    constant = ir.Value(
        name="weight", shape=ir.Shape(weight.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    x = ir.Value(name="x", shape=ir.Shape((tokens, features_in)), type=ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("MatMul", [x, constant], name="layer")
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.FLOAT), ir.Shape((tokens, features_out))
    graph = ir.Graph([x], [y], nodes=[node], initializers=[constant], opset_imports={"": 20}, name="layer")
    return ir.Model(graph, ir_version=10)
