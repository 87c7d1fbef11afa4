"""The plots: distributions, medians compared, runs in order, accuracy against latency, time per op."""

from __future__ import annotations

from collections.abc import Sequence

from edgevision.report.entry import Entry
from edgevision.report.quantile import quantile
from edgevision.report.svg import WIDTH, Axis, circle, figure, line, path, rect, text

__all__ = ["distributions", "medians", "ops", "runs_in_order", "scatter"]

LEFT, RIGHT = 8, WIDTH - 12
#: Bins of a distribution, and points of a trace: what 400 units can show.
BINS, POINTS = 60, 200
#: Ranges wider than this are shown by logarithm.
WIDEST_LINEAR = 12.0


def distributions(entries: Sequence[Entry]) -> str:
    """Every trace as a mirrored histogram of its central 99 %, with its median and its p90."""
    ordered = [sorted(e.samples) for e in entries]
    axis = _axis([quantile(o, 0.005) for o in ordered], [quantile(o, 0.995) for o in ordered])
    shapes, y = [], 16.0
    for entry, samples in zip(entries, ordered, strict=True):
        shapes.append(text(LEFT, y, f"n = {len(samples)}: {entry.label}"))
        shapes.append(_violin(samples, axis, y + 22, entry))
        for q, style in ((0.5, "median"), (0.9, "p90")):
            x = axis(quantile(samples, q))
            shapes.append(line(x, y + 8, x, y + 36, style))
        y += 54
    grid = axis.draw_below(4, y - 12, f"latency (ms{', logarithmic' if axis.log else ''}); line p50, dashes p90")
    return figure("Distribution of latency", y + 22, [*grid, *shapes])


def _violin(samples: Sequence[float], axis: Axis, middle: float, entry: Entry) -> str:
    counts = [0] * BINS
    wide = (axis.end - axis.start) / BINS
    for sample in samples:
        counts[min(BINS - 1, int((axis(sample) - axis.start) / wide))] += 1
    most = max(counts)
    filled = [i for i, c in enumerate(counts) if c]
    outline = [(axis.start + (i + 0.5) * wide, 13 * counts[i] / most) for i in range(filled[0], filled[-1] + 1)]
    outline = [(outline[0][0] - wide / 2, 0.4), *outline, (outline[-1][0] + wide / 2, 0.4)]
    upper = [(x, middle - h) for x, h in outline]
    return path([*upper, *((x, middle + h) for x, h in reversed(outline))], _colour(entry), closed=True)


def medians(entries: Sequence[Entry]) -> str:
    """Medians as bars from zero, with their 95 % intervals."""
    axis = Axis(low=0, high=max(e.interval[1] for e in entries) * 1.05, start=LEFT, end=RIGHT)
    shapes, y = [], 16.0
    for e in entries:
        told = "" if e.verdict == "stable" else f", {e.verdict}"
        shapes.append(text(LEFT, y, f"{e.p50:.4g} ms, n = {len(e.samples)}{told}: {e.label}"))
        shapes.append(rect(LEFT, y + 6, axis(e.p50) - LEFT, 12, _colour(e)))
        low, high = (axis(v) for v in e.interval)
        shapes += [line(low, y + 12, high, y + 12, "whisker")]
        shapes += [line(x, y + 8, x, y + 16, "whisker") for x in (low, high)]
        y += 38
    grid = axis.draw_below(4, y - 12, "median latency (ms), whiskers 95 % interval")
    return figure("Median latency", y + 22, [*grid, *shapes])


def runs_in_order(entry: Entry) -> str:
    """Least and greatest of each stretch of runs, in the order measured: drift and levels show here."""
    samples, n = entry.samples, len(entry.samples)
    across = Axis(low=1, high=max(n, 2), start=LEFT + 44, end=RIGHT)
    ordered = sorted(samples)
    low, high = ordered[0], max(quantile(ordered, 0.99), ordered[0] * 1.01)
    up = Axis(low=low, high=high, start=96, end=20)
    size = max(1, -(-n // POINTS))
    points = []
    for start in range(0, n, size):
        stretch = samples[start : start + size]
        points += [(across(start + 1), up(v)) for v in dict.fromkeys((min(stretch), max(stretch)))]
    shapes = across.draw_below(16, 100, f"run (n = {n}); above p99 cut off")
    for tick in up.ticks():
        shapes += [text(LEFT + 38, up(tick) + 4, format(tick, ".4g"), style="tick", anchor="end")]
    shapes += [text(LEFT, 12, f"{entry.label} (ms)"), path(points, "trace")]
    return figure(f"Runs in order, {entry.label}", 134, shapes)


def scatter(entries: Sequence[Entry]) -> str | None:
    """Accuracy against median latency with both intervals; None when no entry has an accuracy."""
    known = [(e, e.accuracy) for e in entries if e.accuracy is not None]
    if not known:
        return None
    across = _axis([e.interval[0] * 0.95 for e, _ in known], [e.interval[1] * 1.05 for e, _ in known], start=54)
    sides = [a.interval or (a.value, a.value) for _, a in known]
    least, most = min(s[0] for s in sides), max(s[1] for s in sides)
    room = max(0.1 * (most - least), 0.005)
    up = Axis(low=least - room, high=most + room, start=240, end=24)
    shapes = across.draw_below(20, 244, "median latency (ms)")
    for tick in up.ticks():
        shapes += [line(54, up(tick), RIGHT, up(tick), "grid")]
        shapes += [text(50, up(tick) + 4, f"{tick:.1%}", style="tick", anchor="end")]
    for number, ((e, a), (low, high)) in enumerate(zip(known, sides, strict=True), start=1):
        x, y = across(e.p50), up(a.value)
        shapes += [line(across(e.interval[0]), y, across(e.interval[1]), y, "whisker")]
        shapes += [line(x, up(low), x, up(high), "whisker"), circle(x, y, 5, _colour(e))]
        shapes += [text(x + 7, y - 6, str(number))]
        shapes += [text(LEFT, 282 + 17 * number, f"{number}  {e.label}: {a.value:.2%}, n = {a.n}")]
    title = f"{known[0][1].metric} and latency"
    return figure(title, 294 + 17 * len(known), [text(LEFT, 12, title), *shapes])


def ops(entry: Entry, most: int = 12) -> str | None:
    """The slowest op types of one run; None when the profile was made without --per-op."""
    rows = list(entry.document.get("per_op") or ())[:most]
    if not rows:
        return None
    axis = Axis(low=0, high=max(r["ms"] for r in rows) * 1.05 or 1.0, start=LEFT, end=RIGHT)
    shapes, y = [text(LEFT, 14, entry.label)], 36.0
    for row in rows:
        told = f"{row['op']}: {row['ms']:.3g} ms ({row['share']:.0%}, {row['count']} nodes)"
        shapes += [text(LEFT, y, told), rect(LEFT, y + 5, axis(row["ms"]) - LEFT, 9, _colour(entry))]
        if row.get("interval"):
            low, high = (min(max(axis(ms), LEFT), RIGHT) for ms in row["interval"])
            shapes += [line(low, y + 9.5, high, y + 9.5, "whisker")]
        y += 32
    runs = f"mean of {rows[0]['n']} traced runs" if rows[0].get("n") else "mean of the traced runs"
    grid = axis.draw_below(24, y - 12, f"time in one run (ms), {runs}")
    return figure(f"Time per op, {entry.label}", y + 22, [*grid, *shapes])


def _axis(lows: Sequence[float], highs: Sequence[float], *, start: float = LEFT) -> Axis:
    low, high = min(lows), max(highs)
    if high <= low * 1.02:
        low, high = low * 0.98, high * 1.02
    return Axis(low=low, high=high, start=start, end=RIGHT, log=high > WIDEST_LINEAR * low)


def _colour(entry: Entry) -> str:
    """By precision, paler where the verdict is not `stable`."""
    known = ("fp32", "fp16", "bf16", "int8")
    colour = f"c{known.index(entry.precision) if entry.precision in known else len(known)}"
    return colour if entry.verdict == "stable" else f"{colour} unsure"
