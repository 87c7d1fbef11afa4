"""Data movement: shapes, slices, pads, repetitions."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from edgevision.targets.coreml.evaluator.semantics import Arguments, computes

__all__: list[str] = []

Tensor = torch.Tensor


@computes("reshape")
def _reshape(op: Arguments) -> Tensor:
    x = op.tensor("x")
    return x.reshape([x.shape[i] if dim == 0 else dim for i, dim in enumerate(op.ints("shape"))])


@computes("transpose")
def _transpose(op: Arguments) -> Tensor:
    return op.tensor("x").permute(op.ints("perm"))


@computes("expand_dims")
def _expand_dims(op: Arguments) -> Tensor:
    x, axes = op.tensor("x"), op.ints("axes")
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


@computes("squeeze")
def _squeeze(op: Arguments) -> Tensor:
    x = op.tensor("x")
    axes = op.ints("axes", [axis for axis, dim in enumerate(x.shape) if dim == 1])
    return x.squeeze(tuple(axes)) if axes else x


@computes("concat")
def _concat(op: Arguments) -> Tensor:
    parts, axis = op.tensors("values"), op.integer("axis", 0)
    if not op.flag("interleave", False):
        return torch.cat(parts, axis)
    return torch.stack(parts, axis + 1 if axis >= 0 else axis).flatten(axis, axis + 1)


@computes("stack")
def _stack(op: Arguments) -> Tensor:
    return torch.stack(op.tensors("values"), op.integer("axis", 0))


@computes("split")
def _split(op: Arguments) -> tuple[Tensor, ...]:
    x, axis = op.tensor("x"), op.integer("axis", 0)
    sizes = op.ints("split_sizes", []) or [x.shape[axis] // op.integer("num_splits", 1)] * op.integer("num_splits", 1)
    return torch.split(x, sizes, axis)


@computes("tile")
def _tile(op: Arguments) -> Tensor:
    return op.tensor("x").repeat(op.ints("reps"))


@computes("reverse")
def _reverse(op: Arguments) -> Tensor:
    x = op.tensor("x")
    return x.flip(op.ints("axes", range(x.ndim)))


@computes("reverse_sequence")
def _reverse_sequence(op: Arguments) -> Tensor:
    x, seq, batch = op.tensor("x"), op.integer("seq_axis", 0), op.integer("batch_axis", 0)
    rows = []
    for row, length in zip(x.unbind(batch), op.ints("lengths"), strict=True):
        axis = seq - (seq > batch)
        head, tail = row.narrow(axis, 0, length), row.narrow(axis, length, row.shape[axis] - length)
        rows.append(torch.cat([head.flip(axis), tail], axis))
    return torch.stack(rows, batch)


@computes("slice_by_index")
def _slice_by_index(op: Arguments) -> Tensor:
    x = op.tensor("x")
    none = [0] * x.ndim
    begin, end, stride = op.ints("begin"), op.ints("end"), op.ints("stride", [1] * x.ndim)
    free_begin, free_end = op.ints("begin_mask", none), op.ints("end_mask", none)
    single = op.ints("squeeze_mask", none)
    for axis in reversed(range(x.ndim)):
        if single[axis]:
            x = x.select(axis, begin[axis])
            continue
        first = None if free_begin[axis] else begin[axis]
        last = None if free_end[axis] else end[axis]
        places = range(x.shape[axis])[first : last : stride[axis]]
        x = x.index_select(axis, torch.tensor(list(places), dtype=torch.int64))
    return x


@computes("slice_by_size")
def _slice_by_size(op: Arguments) -> Tensor:
    x = op.tensor("x")
    for axis, (begin, size) in enumerate(zip(op.ints("begin"), op.ints("size"), strict=True)):
        x = x.narrow(axis, begin, x.shape[axis] - begin if size == -1 else size)
    return x


@computes("slice_update")
def _slice_update(op: Arguments) -> Tensor:
    x = op.tensor("x").clone()
    none = [0] * x.ndim
    free_begin, free_end = op.ints("begin_mask", none), op.ints("end_mask", none)
    window = tuple(
        slice(None if free_begin[a] else b, None if free_end[a] else e, s)
        for a, (b, e, s) in enumerate(
            zip(op.ints("begin"), op.ints("end"), op.ints("stride", [1] * x.ndim), strict=True)
        )
    )
    x[window] = op.tensor("update")
    return x


@computes("pad")
def _pad(op: Arguments) -> Tensor:
    x, mode, flat = op.tensor("x"), op.text("mode", "constant"), op.ints("pad")
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    reversed_pairs = [amount for pair in reversed(pairs) for amount in pair]
    if mode == "constant":
        return F.pad(x, reversed_pairs, value=op.number("constant_val", 0.0))
    for position, (before, after) in enumerate(pairs):
        axis = x.ndim - len(pairs) + position
        size = x.shape[axis]
        places = torch.arange(-before, size + after)
        places = places.abs() if mode == "reflect" else places
        places = size - 1 - (size - 1 - places).abs() if mode == "reflect" else places.clamp(0, size - 1)
        x = x.index_select(axis, places)
    return x


@computes("crop")
def _crop(op: Arguments) -> Tensor:
    (top, bottom), (left, right) = op.ints("crop_height"), op.ints("crop_width")
    x = op.tensor("x")
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@computes("one_hot")
def _one_hot(op: Arguments) -> Tensor:
    indices, size, axis = op.tensor("indices"), op.integer("one_hot_vector_size", 1), op.integer("axis", -1)
    hot = indices.unsqueeze(axis) == torch.arange(size).reshape(
        [-1 if a == axis % (indices.ndim + 1) else 1 for a in range(indices.ndim + 1)]
    )
    on = op.tensor("on_value") if "on_value" in op else torch.tensor(1)
    off = op.tensor("off_value") if "off_value" in op else torch.tensor(0)
    return torch.where(hot, on, off)


@computes("shape")
def _shape(op: Arguments) -> Tensor:
    return torch.tensor(op.tensor("x").shape, dtype=torch.int32)


@computes("fill")
def _fill(op: Arguments) -> Tensor:
    value = op.tensor("value") if "value" in op else torch.tensor(0.0)
    return value.expand(op.ints("shape"))


@computes("fill_like")
def _fill_like(op: Arguments) -> Tensor:
    value = op.tensor("value") if "value" in op else torch.tensor(0.0)
    return value.expand(op.tensor("ref_tensor").shape)


@computes("range_1d")
def _range(op: Arguments) -> Tensor:
    start, end, step = op.tensor("start"), op.tensor("end"), op.tensor("step")
    return torch.arange(start.item(), end.item(), step.item(), dtype=end.dtype)


@computes("band_part")
def _band_part(op: Arguments) -> Tensor:
    x, lower, upper = op.tensor("x"), op.integer("lower", -1), op.integer("upper", -1)
    x = x.tril(upper) if upper >= 0 else x
    return x.triu(-lower) if lower >= 0 else x


@computes("pixel_shuffle")
def _pixel_shuffle(op: Arguments) -> Tensor:
    return F.pixel_shuffle(op.tensor("x"), op.integer("upscale_factor", 1))


@computes("pixel_unshuffle")
def _pixel_unshuffle(op: Arguments) -> Tensor:
    return F.pixel_unshuffle(op.tensor("x"), op.integer("downscale_factor", 1))


@computes("depth_to_space")
def _depth_to_space(op: Arguments) -> Tensor:
    x, block = op.tensor("x"), op.integer("block_size", 1)
    n, c, h, w = x.shape
    split = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return split.reshape(n, c // block**2, h * block, w * block)


@computes("space_to_depth")
def _space_to_depth(op: Arguments) -> Tensor:
    x, block = op.tensor("x"), op.integer("block_size", 1)
    n, c, h, w = x.shape
    split = x.reshape(n, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return split.reshape(n, c * block**2, h // block, w // block)


@computes("sliding_windows")
def _sliding_windows(op: Arguments) -> Tensor:
    x, axis = op.tensor("x"), op.integer("axis", 0)
    axis = axis % x.ndim
    return x.unfold(axis, op.integer("size", 1), op.integer("stride", 1)).movedim(-1, axis + 1)
