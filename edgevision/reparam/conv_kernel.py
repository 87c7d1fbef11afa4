"""Linear shift-invariant operators as values, and their sum.

    y[o, p] = bias[o] + sum_{i, t} weight[o, i, t] * x[g(o) + i, stride * p - begin + dilation * t],   x zero outside

Every operator the algebra knows is one of these: a convolution itself; the identity and a per-channel affine, a 1x1
depthwise kernel; an average pool, a depthwise kernel of 1/taps. Or it is one transposed:

    y[o, stride * p - begin + dilation * t] += weight[o, i, t] * x[g(o) + i, p]

The sum of two with one stride lives on the grid of offsets that holds both:

    begin = max begin_i     dilation = gcd of all distances between offsets     groups = gcd of all groups
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import onnx_ir as ir

from edgevision.reparam.linear_op import LinearOp
from edgevision.reparam.matching import Decline, Floats
from edgevision.reparam.padding import padding
from edgevision.reparam.rewrite import Step, Weights

__all__ = ["ConvKernel", "conv_step", "kernel_of", "per_channel_kernel", "sum_kernels", "summed_frame"]


@dataclass(frozen=True, kw_only=True)
class ConvKernel:
    """One linear shift-invariant operator on maps with as many spatial axes as `strides` has entries.

    Attributes:
        weight: [out, in/groups, *taps] float64.
        bias: [out] float64.
        end: padding behind the map; of a transposed one less what is added to its output, and so negative at times.
    """

    weight: Floats
    bias: Floats
    groups: int
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    transposed: bool = False

    @property
    def inputs(self) -> int:
        """Channels read."""
        return int(self.weight.shape[1]) * self.groups

    @property
    def outputs(self) -> int:
        """Channels written."""
        return int(self.weight.shape[0])

    @property
    def taps(self) -> tuple[int, ...]:
        """Kernel size along each spatial axis."""
        return tuple(self.weight.shape[2:])

    @property
    def extents(self) -> tuple[int, ...]:
        """Positions a kernel spans along each axis, its gaps included."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilations, self.taps, strict=True))

    @property
    def slack(self) -> tuple[int, ...]:
        """Padding minus extent: maps of size n give floor((n + slack) / stride) + 1 positions, see `sizes`."""
        return tuple(b + e - x for b, e, x in zip(self.begin, self.end, self.extents, strict=True))

    def sizes(self, given: Sequence[int]) -> tuple[int, ...]:
        """The spatial sizes of the result on a map of the `given` ones."""
        each = zip(given, self.slack, self.strides, strict=True)
        return tuple(s * (n - 1) - k if self.transposed else (n + k) // s + 1 for n, k, s in each)

    def offsets(self, axis: int) -> tuple[int, ...]:
        """Where the taps lie along an axis, relative to stride * p."""
        return tuple(self.dilations[axis] * t - self.begin[axis] for t in range(self.taps[axis]))

    def scaled(self, scale: Floats, shift: Floats) -> ConvKernel:
        """Scale * the operator + shift, one number of each an output channel."""
        wide = scale.reshape(-1, *(1,) * (self.weight.ndim - 1))
        return replace(self, weight=self.weight * wide, bias=self.bias * scale + shift)

    def negated(self) -> ConvKernel:
        """The operator times -1."""
        return replace(self, weight=-self.weight, bias=-self.bias)


def kernel_of(op: LinearOp) -> ConvKernel:
    """A linear operator as a kernel; declines padding that depends on a size which is open."""
    attributes = op.nodes[0].attributes
    spatial, pads = op.kernel.ndim - 3, padding(op.nodes[0], op.kernel.shape[3:])
    if pads is None:
        raise Decline("the Conv pads by auto_pad, by how much depends on the input size, and that is not known")
    added = tuple(attributes.get_ints("output_padding", (0,) * spatial))
    return ConvKernel(
        weight=op.kernel.reshape(op.outputs, *op.kernel.shape[2:]),
        bias=np.zeros(op.outputs) if op.bias is None else op.bias,
        groups=op.kernel.shape[0],
        strides=tuple(attributes.get_ints("strides", (1,) * spatial)),
        dilations=tuple(attributes.get_ints("dilations", (1,) * spatial)),
        begin=pads[0],
        end=tuple(end - more for end, more in zip(pads[1], added, strict=True)),
        transposed=op.kind == "ConvTranspose",
    )


def per_channel_kernel(scale: Floats, shift: Floats, spatial: int) -> ConvKernel:
    """The affine scale * x + shift as a 1x1 depthwise convolution; the identity for ones and zeros."""
    ones, zeros = (1,) * spatial, (0,) * spatial
    weight = scale.reshape(-1, 1, *ones)
    return ConvKernel(
        weight=weight, bias=shift, groups=scale.size, strides=ones, dilations=ones, begin=zeros, end=zeros
    )


def conv_step(
    kernel: ConvKernel, x: ir.Value, names: tuple[str, str], dtype: np.dtype[np.generic], shape: ir.Shape | None
) -> Step:
    """The kernel as a Conv or ConvTranspose of `x`, its weight and bias under `names`, its result of `shape`."""
    weight, kind = kernel.weight, "Conv"
    attributes: dict[str, int | tuple[int, ...]] = {
        "kernel_shape": kernel.taps,
        "strides": kernel.strides,
        "dilations": kernel.dilations,
        "pads": (*kernel.begin, *(max(end, 0) for end in kernel.end)),
        "group": kernel.groups,
    }
    if kernel.transposed:
        kind, attributes["output_padding"] = "ConvTranspose", tuple(max(-end, 0) for end in kernel.end)
        grouped = weight.reshape(kernel.groups, -1, *weight.shape[1:])
        weight = grouped.swapaxes(1, 2).reshape(kernel.inputs, -1, *kernel.taps)
    weights = [Weights(array=weight, name=names[0], dtype=dtype)]
    if kernel.bias.any():
        weights.append(Weights(array=kernel.bias, name=names[1], dtype=dtype))
    return Step(op_type=kind, inputs=(x, *weights), attributes=attributes, shape=shape)


def sum_kernels(kernels: Sequence[ConvKernel], sizes: tuple[int, ...] | None) -> ConvKernel:
    """One kernel for the sum of operators that read the same map; arguments and errors as of `summed_frame`."""
    frame = summed_frame(kernels, sizes)
    weight = np.zeros(frame.weight.shape)
    for kernel in kernels:
        _add_into(weight, kernel, frame)
    return replace(frame, weight=weight, bias=np.sum([kernel.bias for kernel in kernels], axis=0))


def summed_frame(kernels: Sequence[ConvKernel], sizes: tuple[int, ...] | None) -> ConvKernel:
    """The sum with every weight 0, for its price: it takes no memory.

    Args:
        kernels: the operators; output channels, input channels and strides must agree.
        sizes: spatial sizes of the map, None where they are not known.

    Raises:
        Decline: the operators do not give maps of one size, or differ in stride or channels.
    """
    first = kernels[0]
    for kernel in kernels[1:]:
        if kernel.strides != first.strides:
            raise Decline(f"the branches have strides {first.strides} and {kernel.strides}")
        if (kernel.outputs, kernel.inputs) != (first.outputs, first.inputs):
            raise Decline(f"the branches have {first.outputs} and {kernel.outputs} output channels")
    transposed = any(kernel.transposed for kernel in kernels)
    if transposed and not all(kernel.transposed or _is_pointwise(kernel) for kernel in kernels):
        raise Decline(
            "a transposed convolution goes from the map to the result, the branch beside it the other way round"
        )
    slack = _common_slack(kernels, sizes)
    axes = range(len(first.strides))
    dilations = tuple(_grid_step(kernels, axis) for axis in axes)
    begin = tuple(max(kernel.begin[axis] for kernel in kernels) for axis in axes)
    last = tuple(max(kernel.offsets(axis)[-1] for kernel in kernels) for axis in axes)
    taps = tuple((last[axis] + begin[axis]) // dilations[axis] + 1 for axis in axes)
    groups = reduce(math.gcd, (kernel.groups for kernel in kernels))
    end = tuple(slack[axis] + dilations[axis] * (taps[axis] - 1) + 1 - begin[axis] for axis in axes)
    return ConvKernel(
        weight=np.broadcast_to(0.0, (first.outputs, first.inputs // groups, *taps)),
        bias=np.broadcast_to(0.0, (first.outputs,)),
        groups=groups,
        strides=first.strides,
        dilations=dilations,
        begin=begin,
        end=end,
        transposed=transposed,
    )


def _is_pointwise(kernel: ConvKernel) -> bool:
    """Whether it looks at one place only and so is its own transpose."""
    return {*kernel.taps, *kernel.strides} <= {1} and not any((*kernel.begin, *kernel.end))


def _common_slack(kernels: Sequence[ConvKernel], sizes: tuple[int, ...] | None) -> tuple[int, ...]:
    """The slack of the merged operator: the largest, provided that on this map all give as many positions."""
    slacks = {kernel.slack for kernel in kernels}
    largest = tuple(max(slack) for slack in zip(*slacks, strict=True))
    if len(slacks) == 1:
        return largest
    if any(kernel.transposed for kernel in kernels):
        raise Decline("the branches give maps of different sizes")
    if sizes is None:
        raise Decline("the branches give maps of one size for some input sizes only, and the size is not known")
    counts = {kernel.sizes(sizes) for kernel in kernels}
    if len(counts) > 1:
        raise Decline(f"the branches give maps of different sizes on an input of {sizes}")
    return largest


def _grid_step(kernels: Sequence[ConvKernel], axis: int) -> int:
    """The coarsest dilation whose grid holds every branch's taps."""
    offsets = sorted({offset for kernel in kernels for offset in kernel.offsets(axis)})
    steps = [b - a for a, b in itertools.pairwise(offsets)]
    return reduce(math.gcd, steps) if steps else 1


def _add_into(weight: Floats, kernel: ConvKernel, frame: ConvKernel) -> None:
    """Add `kernel` to `weight`, which has the frame's groups and whose taps lie where the frame's do."""
    groups, dilations, begin = frame.groups, frame.dilations, frame.begin
    where = tuple(
        slice(
            (kernel.offsets(axis)[0] + begin[axis]) // dilations[axis],
            (kernel.offsets(axis)[-1] + begin[axis]) // dilations[axis] + 1,
            max(kernel.dilations[axis] // dilations[axis], 1),
        )
        for axis in range(len(begin))
    )
    fold = kernel.groups // groups  # blocks of the finer grouping inside one of the coarser
    out, channels = kernel.outputs // kernel.groups, kernel.weight.shape[1]
    blocks = weight.reshape(groups, fold, out, fold, channels, *weight.shape[2:])
    finer = kernel.weight.reshape(groups, fold, out, channels, *kernel.taps)
    for block in range(fold):
        index: tuple[int | slice, ...] = (slice(None), block, slice(None), block, slice(None), *where)
        blocks[index] += finer[:, block]
