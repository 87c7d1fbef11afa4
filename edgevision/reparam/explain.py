"""What `reparam --explain` prints: every merge with its figures, every place that was left and why, and INT8 risks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from edgevision.passes.graph_pass import Application, Declined, PassResult
from edgevision.reparam.int8_risk import RiskyWeight, risky_weights

__all__ = ["explain"]

_SHOWN = 8  # channels named per weight


def explain(result: PassResult) -> str:
    """The result of `reparameterize` as text, for a terminal."""
    parts = [_applied(result.applied), _declined(result.declined), _risks(risky_weights(result.model))]
    return "\n\n".join(part for part in parts if part)


def _applied(rows: Sequence[Application]) -> str:
    if not rows:
        return "Nothing was merged."
    head = ("equation", "parameters", "MACs", "nodes", "float64", "float32", "where")
    body = [
        (
            row.equation,
            f"{row.params_before} > {row.params_after}",
            "?" if row.macs_before is None or row.macs_after is None else f"{row.macs_before} > {row.macs_after}",
            f"{row.nodes_before} > {row.nodes_after}",
            _error(row.error_float64),
            _error(row.error_float32),
            " + ".join(row.where) + (f"  ({row.note})" if row.note else ""),
        )
        for row in rows
    ]
    saved = sum(row.params_before - row.params_after for row in rows)
    gone = sum(row.nodes_before - row.nodes_after for row in rows)
    counts = ", ".join(f"{count} {name}" for name, count in Counter(row.equation for row in rows).most_common())
    return f"{len(rows)} merges ({counts}), {saved} parameters and {gone} nodes fewer:\n{_table(head, body)}"


def _declined(rows: Sequence[Declined]) -> str:
    if not rows:
        return ""
    body = [(row.equation, row.reason, " + ".join(row.where)) for row in rows]
    return f"{len(rows)} places match and were left:\n{_table(('equation', 'why', 'where'), body)}"


def _risks(risks: Sequence[RiskyWeight]) -> str:
    if not risks:
        return ""
    body = [
        (
            risk.weight,
            f"{len(risk.channels)} of {risk.outputs}",
            f"{risk.lost_per_channel:.0%}",
            f"{len(risk.channels_per_tensor)} of {risk.outputs}",
            f"{risk.lost_per_tensor:.0%}",
            _channels(risk.channels or risk.channels_per_tensor),
        )
        for risk in risks
    ]
    head = ("weight", "per channel", "worst", "per tensor", "worst", "channels")
    return f"INT8: channels that lose more than half of their weights to rounding:\n{_table(head, body)}"


def _channels(channels: tuple[int, ...]) -> str:
    tail = ", ..." if len(channels) > _SHOWN else ""
    return ", ".join(map(str, channels[:_SHOWN])) + tail


def _error(error: float | None) -> str:
    return "" if error is None else f"{error:.1e}"


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    rows = [head, *body]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    lines = ("  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
