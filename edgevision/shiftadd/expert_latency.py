"""What the two experts of a mixture cost on a target: the coefficients of the latency-aware balance loss.

Either by a race here: both experts of a layer as one-node graphs in ONNX Runtime, the shifting one with fixed-point
activations as it is trained. Or from two profiles of any device (`edgevision profile`): the network with every mixture
replaced by its multiplying expert, and by its shifting one (`only_`).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from edgevision.errors import DataError
from edgevision.models.primitive_mixture import Mixture
from edgevision.ops.shift_code import ShiftCode
from edgevision.passes.unpack_shifts import unpack_shifts
from edgevision.shiftadd.convert import convert
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["expert_latencies", "only_", "profile_mixtures", "profiled_latencies"]

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


@torch.no_grad()
def profile_mixtures(model: nn.Module, images: Tensor, *, seconds: float = 0.3) -> dict[str, tuple[float, float]]:
    """Race the experts of every mixture at the sizes that `images` bring to it, and tell its router.

    Returns:
        Milliseconds of the multiplying and the shifting expert, by the mixture's name.

    Raises:
        ValueError: the model has no mixture of linear layers.
    """
    sizes = _sizes(model, images)
    if not sizes:
        raise ValueError("the model has no mixture of linear layers")
    raced = {size: expert_latencies(*size, seconds=seconds) for size in dict.fromkeys(sizes.values())}
    for name, size in sizes.items():
        mixture = model.get_submodule(name)
        assert isinstance(mixture, Mixture)
        mixture.gate.set_latencies(*raced[size])
    return {name: raced[size] for name, size in sizes.items()}


def _sizes(model: nn.Module, images: Tensor) -> dict[str, tuple[int, int, int]]:
    """Inputs, outputs and tokens of every mixture of linear layers."""
    found: dict[str, tuple[int, int, int]] = {}

    def see(name: str, linear: nn.Linear) -> None:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            del module
            found[name] = (linear.in_features, linear.out_features, arguments[0].flatten(0, -2).shape[0])

        hooks.append(model.get_submodule(name).register_forward_pre_hook(hook))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for name, module in model.named_modules():
        if isinstance(module, Mixture) and isinstance(module.experts[0], nn.Linear):
            see(name, module.experts[0])
    try:
        model.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def only_(model: nn.Module, expert: int) -> nn.Module:
    """Send every token of every mixture to one expert, in place: 0 multiplies, 1 shifts. What is left has no router."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Mixture):
                setattr(parent, name, child.experts[expert])
    return model


def profiled_latencies(multiply: Path, shift: Path) -> tuple[float, float]:
    """Median milliseconds of two documents of `edgevision profile --out`, for `primitive_mixture.set_latencies`.

    Raises:
        DataError: a file is no profile, or the two are of different devices.
    """
    documents = []
    for path in (multiply, shift):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            documents.append((float(document["latency_ms"]["p50"]), document["device"]["name"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                str(path), f"it is no profile ({error})", "write it by `edgevision profile --out`"
            ) from error
    (first, one), (second, other) = documents
    if one != other:
        raise DataError(str(shift), f"it is of the device {other}, and {multiply.name} of {one}", "profile both on one")
    return first, second


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
