"""What the bodies of DWT and IDWT share: reading a signature, filters per channel, periodic continuation."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgevision.errors import GraphError
from edgevision.ops.operator import Signature
from edgevision.ops.recorder import Recorder
from edgevision.ops.wavelet import check

__all__ = ["Level", "continued", "level", "per_channel", "regrouped"]


@dataclass(frozen=True, kw_only=True)
class Level:
    """A signature of a wavelet operator, read: `rows` and `columns` of x are None where dynamic."""

    channels: int
    rows: int | None
    columns: int | None
    k: int
    shared: bool
    mode: str
    element_type: int

    def overload(self, form: str, *details: int) -> str:
        """Name of the body; sizes are part of it, as they are written into it where static."""
        sizes = "x".join("any" if size is None else str(size) for size in (self.rows, self.columns))
        type_ = "" if self.element_type == ir.DataType.FLOAT else f"_t{self.element_type}"
        shared = "_shared" if self.shared else ""
        return "_".join([form, self.mode, f"k{self.k}c{self.channels}", sizes, *map(str, details)]) + shared + type_


def level(op: str, signature: Signature, rank: int) -> Level:
    """Read a signature; channels and filters must be static."""
    x, filters = signature.shapes
    if x is None or filters is None:
        raise GraphError(op, "x and filters must be given", "fix the node")
    channels, taps = x[1], tuple(dim for dim in filters if dim is not None)
    if channels is None or len(taps) != len(filters):
        raise GraphError(op, f"channels and filters must be static, not {channels} and {filters}", "infer shapes")
    mode = str(signature.attributes["mode"])
    check(op, len(x), rank, taps, channels, mode)
    return Level(
        channels=channels,
        rows=x[-2],
        columns=x[-1],
        k=taps[-1],
        shared=taps[0] != 4 * channels,
        mode=mode,
        element_type=signature.element_type,
    )


def per_channel(r: Recorder, filters: ir.Value, at: Level) -> ir.Value:
    """Filters of [4C, 1, k, k]."""
    return r.op("Tile", filters, r.ints(at.channels, 1, 1, 1)) if at.shared else filters


def regrouped(r: Recorder, x: ir.Value, leading: tuple[int, ...], sizes: tuple[int | None, int | None]) -> ir.Value:
    """`x` with its two last dims kept and [Bt, *leading] before them; `sizes` are those two where known."""
    known = [size for size in sizes if size is not None]
    if len(known) == 2:
        return r.reshape(x, 0, *leading, *known)
    tail = r.op("Shape", x, start=-2)
    return r.op("Reshape", x, r.op("Concat", r.ints(0, *leading), tail, axis=0))


def continued(r: Recorder, x: ir.Value, axis: int, size: int | None, border: int, *, even: bool = False) -> ir.Value:
    """`x` continued periodically by `border` on both sides of `axis`; with `even`, an odd size repeats its last."""
    if size is not None:
        period = size + size % 2 if even else size
        places = [min(place % period, size - 1) for place in range(-border, period + border)]
        return x if places == list(range(size)) else r.op("Gather", x, r.ints(*places), axis=axis)
    length = r.op("Squeeze", r.op("Shape", x, start=axis, end=axis + 1))
    cycle = r.op("Add", length, r.op("Mod", length, r.integer(2))) if even else length
    span = r.op("Range", r.integer(-border), r.op("Add", cycle, r.integer(border)), r.integer(1))
    last = r.op("Sub", length, r.integer(1))
    return r.op("Gather", x, r.op("Min", r.op("Mod", span, cycle), last), axis=axis)
