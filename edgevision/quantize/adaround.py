"""AdaRound: each weight is rounded up or down as the layer's output wants it, not to the nearest.

    minimise over V     tr((W~ - W) G (W~ - W)^T) + lambda sum 1 - |2 h(V) - 1|^beta,     W~ = s clip(floor(W / s) + h(V))

G = E[x x^T] over what the layer reads (patches of a convolution), so that the first term is the mean squared error of its
output; h is the rectified sigmoid, whose values beta, falling from 20 to 2, drives to 0 or 1. From M. Nagel et al., "Up or
Down? Adaptive Rounding for Post-Training Quantization" (ICML 2020), eqs. 13, 21 to 24. An output channel whose result is
not better than rounding to the nearest keeps the nearest. The number of steps is cut where a layer is large, so that the
time is bounded; layers that would get too few are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.calibration.source import Source
from edgevision.quantize.observe import values_of
from edgevision.quantize.parameters import Quantized
from edgevision.quantize.plan import weight_axis
from edgevision.reparam.linear_op import read_linear

__all__ = ["adaround", "grams"]

Array = NDArray[Any]

_STEPS, _LEAST_STEPS = 400, 60
#: Multiply-accumulates spent on one layer.
_BUDGET = 6e10
#: Inputs of an output channel, above which the matrix G is not kept.
_LARGEST_FAN_IN = 2400
#: Positions of a map that are drawn per image.
_POSITIONS = 64
_LAMBDA, _RATE = 0.01, 2e-2
_LOW, _HIGH = -0.1, 1.1


def grams(
    model: ir.Model, nodes: Sequence[ir.Node], source: Source, limit: int | None = None, seed: int = 0
) -> dict[str, Array]:
    """E[x x^T] of what each linear operator reads, [groups, K, K] by the name of its output, streaming.

    Args:
        model: the float graph that has `nodes`.
        nodes: linear operators with constant weights; those with a fan in that is too large are left out.
        source: of images.
        limit: on their number.
        seed: of the positions that are drawn.
    """
    fitting = [n for n in nodes if _fan_in(n) <= _LARGEST_FAN_IN and _steps(n) >= _LEAST_STEPS]
    rng = np.random.default_rng(seed)
    sums: dict[str, Array] = {}
    counts: dict[str, int] = {}
    names = list(dict.fromkeys(str(n.inputs[0].name) for n in fitting if n.inputs[0] is not None))
    if not names:
        return {}
    for seen in values_of(model, names, source, limit):
        for node in fitting:
            key, given = str(node.outputs[0].name), node.inputs[0]
            assert given is not None  # `fitting` has linear operators only
            rows = _rows(node, np.asarray(seen[str(given.name)], np.float32), rng)
            sums[key] = sums.get(key, 0.0) + rows.swapaxes(1, 2) @ rows
            counts[key] = counts.get(key, 0) + rows.shape[1]
    return {key: total / counts[key] for key, total in sums.items()}


def adaround(weight: Array, nearest: Quantized, gram: Array, largest: int) -> Quantized:
    """`nearest` with its values rounded so that the layer's output errs least.

    Args:
        weight: the exact weight, in its own layout.
        nearest: the same rounded to the nearest.
        gram: [groups, K, K] of `grams`.
        largest: the largest quantized magnitude.
    """
    axis = nearest.axis % weight.ndim
    rows = _by_group(np.moveaxis(weight.astype(np.float64), axis, 0), len(gram))
    start = _by_group(np.moveaxis(nearest.values.astype(np.float64), axis, 0), len(gram))
    steps = nearest.scales.astype(np.float64).reshape(len(gram), -1, 1)
    below = np.floor(rows / steps)
    found = np.clip(below + _learned(rows, steps, gram, below, largest), -largest, largest)
    worse = _error(found, rows, steps, gram) >= _error(start, rows, steps, gram)
    chosen = np.where(worse[..., None], start, found)
    values = np.moveaxis(chosen.reshape(np.moveaxis(weight, axis, 0).shape), 0, axis).astype(np.int8)
    return Quantized(values=values, scales=nearest.scales, axis=nearest.axis)


def _error(values: Array, rows: Array, steps: Array, gram: Array) -> Array:
    """Mean squared error of each output channel, [groups, out]."""
    off = values * steps - rows
    return np.asarray(((off @ gram) * off).sum(axis=-1))


def _learned(rows: Array, steps: Array, gram: Array, below: Array, largest: int) -> Array:
    """0 or 1 for each weight, [groups, out, K]: stay below, or go up."""
    import torch

    count = min(_STEPS, _affordable(rows.shape))
    exact, step, floor = (torch.from_numpy(a.astype(np.float32)) for a in (rows, steps, below))
    matrix = torch.from_numpy(gram.astype(np.float32))
    # In steps of the weight, and with each group's inputs at unit power: lambda then means the same in every layer.
    matrix = matrix / matrix.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)[:, None, None]
    share = (exact / step - floor).clamp(0.0, 1.0)
    variable = torch.logit((share - _LOW) / (_HIGH - _LOW)).requires_grad_()
    optimizer = torch.optim.Adam([variable], lr=_RATE)
    for turn in range(count):
        up = (torch.sigmoid(variable) * (_HIGH - _LOW) + _LOW).clamp(0.0, 1.0)
        off = (floor + up).clamp(-largest, largest) - exact / step
        loss = ((off @ matrix) * off).sum()
        if turn > count // 5:  # first the error alone, then the decision
            beta = 2 + 18 * (1 - (turn - count // 5) / (count - count // 5))
            loss = loss + _LAMBDA * (1 - (2 * up - 1).abs().pow(beta)).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    decided: Array = (variable.detach() >= 0).numpy().astype(np.float64)
    return decided


def _affordable(shape: tuple[int, ...]) -> int:
    """Steps for [groups, out, K] within the budget: a step multiplies by G forwards and backwards."""
    groups, out, fan_in = shape
    return int(_BUDGET / (3 * groups * out * fan_in**2))


def _steps(node: ir.Node) -> int:
    op = read_linear(node)
    return 0 if op is None else _affordable((op.kernel.shape[0], op.kernel.shape[1], _fan_in(node)))


def _fan_in(node: ir.Node) -> int:
    weight = node.inputs[1]
    shape = () if weight is None or weight.shape is None else tuple(weight.shape.numpy())
    outputs = shape[weight_axis(node)]
    return int(np.prod(shape)) // int(outputs)


def _by_group(rows: Array, groups: int) -> Array:
    return rows.reshape(groups, rows.shape[0] // groups, -1)


def _rows(node: ir.Node, x: Array, rng: np.random.Generator) -> Array:
    """Some of what one output channel sees, [groups, rows, K]."""
    if node.op_type != "Conv":
        flat = x.reshape(-1, x.shape[-1])
        return flat[_drawn(len(flat), len(x), rng)][None]
    import torch
    import torch.nn.functional as F

    weight = node.inputs[1]
    assert weight is not None and weight.shape is not None  # a linear operator with a constant weight
    kernel = tuple(int(k) for k in weight.shape.numpy()[2:])
    groups = node.attributes.get_int("group", 1)
    tensor = torch.from_numpy(x if x.ndim == 4 else x[:, :, None])
    kernel = kernel if len(kernel) == 2 else (1, *kernel)
    padded = F.pad(tensor, _padding(node, len(x.shape) - 2))
    strides, dilations = (_pair(node, name, len(x.shape) - 2) for name in ("strides", "dilations"))
    patches = F.unfold(padded, kernel, dilation=dilations, stride=strides).numpy()  # [N, C k k, L]
    chosen = patches.transpose(1, 0, 2).reshape(patches.shape[1], -1)[
        :, _drawn(patches.shape[0] * patches.shape[2], len(x), rng)
    ]
    return np.ascontiguousarray(chosen.reshape(groups, -1, chosen.shape[1]).swapaxes(1, 2))


def _drawn(count: int, images: int, rng: np.random.Generator) -> Array:
    wanted = min(count, _POSITIONS * images)
    return np.arange(count) if wanted == count else rng.choice(count, wanted, replace=False)


def _padding(node: ir.Node, dims: int) -> tuple[int, ...]:
    """(left, right, top, bottom) as torch wants it."""
    pads = tuple(node.attributes.get_ints("pads", (0,) * (2 * dims)))
    begin, end = (0, *pads[:dims])[-2:], (0, *pads[dims:])[-2:]
    return begin[1], end[1], begin[0], end[0]


def _pair(node: ir.Node, name: str, dims: int) -> tuple[int, int]:
    values = (1, *node.attributes.get_ints(name, (1,) * dims))[-2:]
    return int(values[0]), int(values[1])
