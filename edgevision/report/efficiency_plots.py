"""The plots of Lavin's analysis: the efficiency gap of every measurement, and the waterline of a sequence of kernels.

How to read them stands in docs/efficiency.md, the formulas in edgevision/efficiency/waterline.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.report.entry import Entry
from edgevision.report.svg import WIDTH, Axis, circle, figure, line, rect, text

__all__ = ["analysed", "gaps", "waterline"]

LEFT, RIGHT = 8, WIDTH - 12


def analysed(entry: Entry) -> Mapping[str, Any] | None:
    """A profile's efficiency analysis, None where it has none."""
    found = entry.document.get("efficiency")
    return found if isinstance(found, Mapping) and "ideal_ms" in found else None


def gaps(entries: Sequence[Entry]) -> str | None:
    """Each measurement twice on a logarithmic axis: its ideal latency (hollow) and the measured one.

    Accuracy, where it is known, stands beside the name and orders the rows, best first.
    """
    known = [(e, found) for e in entries if (found := analysed(e)) is not None]
    if not known:
        return None
    known.sort(key=lambda pair: -(pair[0].accuracy.value if pair[0].accuracy else 0.0))
    low = min(min(found["ideal_ms"], e.p50) for e, found in known)
    high = max(max(found["ideal_ms"], e.p50) for e, found in known)
    axis = Axis(low=low * 0.8, high=high * 1.25, start=LEFT, end=RIGHT, log=True)
    shapes, y = [], 16.0
    for e, found in known:
        accuracy = f", {e.accuracy.metric} {e.accuracy.value:.1%} (n = {e.accuracy.n})" if e.accuracy else ""
        shapes.append(text(LEFT, y, f"E = {found['computational_efficiency']:.0%}: {e.label}{accuracy}"))
        ideal, measured = axis(found["ideal_ms"]), axis(e.p50)
        shapes += [line(ideal, y + 13, measured, y + 13, "whisker"), circle(ideal, y + 13, 5, "hollow")]
        shapes.append(circle(measured, y + 13, 5, "c0" if e.verdict == "stable" else "c0 unsure"))
        y += 38
    grid = axis.draw_below(4, y - 12, "latency (ms): hollow ideal at the peak, full measured")
    return figure("Efficiency gap", y + 22, [*grid, *shapes])


def waterline(entry: Entry, form: str) -> str | None:
    """Bars in the sequence's order: width its operations, height its operations a byte; the line is the device's.

    `form` is `unfused` or `block_fused`. Kernels without arithmetic have no width; they are counted below.
    """
    found = analysed(entry)
    if found is None:
        return None
    kernels = [k for k in found[form]["kernels"] if k["ops"] > 0]
    lines = found["peaks"]["waterline_ops_per_byte"]
    level = lines.get(entry.precision) or lines["fp32"]
    if not kernels or not level:
        return None
    heights = [k["ops"] / k["bytes"] for k in kernels]
    up = Axis(low=min(0.5, *heights) * 0.8, high=max(*heights, level) * 1.5, start=180, end=40, log=True)
    across = Axis(low=0, high=sum(k["ops"] for k in kernels) / 1e6, start=LEFT + 40, end=RIGHT)
    shapes, done = [], 0.0
    for kernel, height in zip(kernels, heights, strict=True):
        left, right = across(done), across(done + kernel["ops"] / 1e6)
        shapes.append(rect(left, up(height), right - left, 180 - up(height), "c3" if kernel["under_water"] else "c0"))
        done += kernel["ops"] / 1e6
    decades = [10.0**p for p in range(math.ceil(math.log10(up.low)), math.floor(math.log10(up.high)) + 1)]
    shapes += [text(LEFT + 36, up(value) + 4, f"{value:g}", style="tick", anchor="end") for value in decades]
    shapes += [line(across.start, up(level), RIGHT, up(level), "water")]
    what = "kernels" if form == "unfused" else "fused blocks"
    told = (
        f"{found[form]['under_water']} of {len(found[form]['kernels'])} {what} under water, below {level:.3g} ops/byte"
    )
    head = [text(LEFT, 12, entry.label), text(LEFT, 28, told)]
    grid = across.draw_below(40, 180, "operations (1e6) in the graph's order; height ops/byte")
    return figure(f"Waterline, {what}, {entry.label}", 214, [*grid, *head, *shapes])
