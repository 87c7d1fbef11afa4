"""What people see of a merge: one row per equation, or with `--explain` every application, every refusal, INT8 risks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from edgevision.cli.console import print_table, stdout

if TYPE_CHECKING:
    from edgevision.deploy import Merged
    from edgevision.reparam.int8_risk import RiskyWeight

__all__ = ["show_reparam"]


def show_reparam(merged: Merged, *, explain: bool) -> None:
    """Tables of what was merged, of what was declined, and of the channels that 8 bits would hurt."""
    from rich.text import Text

    applied, declined = merged.reparam.get("applied", []), merged.reparam.get("declined", [])
    if not applied:
        stdout().print(Text(f"{merged.name}: nothing was merged"))
    elif explain:
        print_table(f"{merged.name}: merged", _APPLIED, [_applied(a) for a in applied])
    else:
        counts = Counter(a["equation"] for a in applied)
        rows = [(equation, n, *_worst(applied, equation)) for equation, n in counts.most_common()]
        print_table(f"{merged.name}: merged", _EQUATIONS, rows)
    if explain:
        if declined:
            print_table(f"{merged.name}: declined", ["where", "equation", "reason"], [_declined(d) for d in declined])
        if merged.int8_risk:
            title = f"{merged.name}: channels that lose more than half of their weights to rounding in INT8"
            print_table(title, _RISKS, [_risk(r) for r in merged.int8_risk])
    else:
        if declined:
            stdout().print(Text(f"{len(declined)} more places were looked at and declined: --explain tells why"))
        if merged.int8_risk:
            stdout().print(Text(f"{len(merged.int8_risk)} weights have channels at risk in INT8: --explain lists them"))
    stdout().print(Text(_totals(merged.reparam["before"], merged.reparam["after"])))
    error = merged.records[-1].max_abs_over_std
    if error is not None:
        stdout().print(Text(f"whole graph: {error:.1e} of std from the graph before merging"))
    if merged.out is not None:
        stdout().print(Text(f"written: {merged.out}"))


_EQUATIONS = ["equation", "times", "worst error, float64", "worst error, float32"]
_APPLIED = ["where", "equation", "params", "MACs", "nodes", "float64", "float32"]


def _applied(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        ", ".join(row["where"]) + (f" ({row['note']})" if row["note"] else ""),
        row["equation"],
        f"{row['params_before']:,} → {row['params_after']:,}",
        "" if row["macs_before"] is None else f"{row['macs_before']:,} → {row['macs_after']:,}",
        f"{row['nodes_before']} → {row['nodes_after']}",
        _error(row["error_float64"]),
        _error(row["error_float32"]),
    )


_RISKS = ["weight", "channels at risk", "worst", "with one step for all", "worst", "channels"]


def _risk(risk: RiskyWeight) -> tuple[str, ...]:
    named = risk.channels or risk.channels_per_tensor
    return (
        risk.weight,
        f"{len(risk.channels)} of {risk.outputs}",
        f"{risk.lost_per_channel:.0%}",
        f"{len(risk.channels_per_tensor)} of {risk.outputs}",
        f"{risk.lost_per_tensor:.0%}",
        ", ".join(map(str, named[:8])) + (", …" if len(named) > 8 else ""),
    )


def _totals(before: dict[str, int | None], after: dict[str, int | None]) -> str:
    """`352 → 252 nodes, 325,888 → 290,175 params`, MACs where they are known."""
    pairs = [(name, before[name], after[name]) for name in ("nodes", "params", "macs")]
    return ", ".join(f"{a:,} → {b:,} {name}" for name, a, b in pairs if a is not None and b is not None)


def _declined(row: dict[str, Any]) -> tuple[str, ...]:
    return ", ".join(row["where"]), row["equation"], row["reason"]


def _worst(applied: list[dict[str, Any]], equation: str) -> tuple[str, str]:
    mine = [a for a in applied if a["equation"] == equation]
    return tuple(_error(max((a[k] or 0.0) for a in mine)) for k in ("error_float64", "error_float32"))  # type: ignore[return-value]


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.0e}"
