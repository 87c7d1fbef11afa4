"""What people see of a merge: one row per equation, or with `--explain` every application and every refusal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from edgevision.cli.console import print_table, stdout

if TYPE_CHECKING:
    from edgevision.deploy import Merged

__all__ = ["show_reparam"]


def show_reparam(merged: Merged, *, explain: bool) -> None:
    """Tables of what was merged and of what was declined."""
    from rich.text import Text

    applied, declined = merged.reparam.get("applied", []), merged.reparam.get("declined", [])
    if explain:
        print_table(f"{merged.name}: merged", _APPLIED, [_applied(a) for a in applied])
        print_table(f"{merged.name}: declined", ["where", "equation", "reason"], [_declined(d) for d in declined])
    else:
        counts = Counter(a["equation"] for a in applied)
        rows = [(equation, n, *_worst(applied, equation)) for equation, n in counts.most_common()]
        print_table(
            f"{merged.name}: merged", ["equation", "times", "worst error, float64", "worst error, float32"], rows
        )
        if declined:
            stdout().print(Text(f"{len(declined)} more places were looked at and declined: --explain tells why"))
    error = merged.records[-1].max_abs_over_std
    stdout().print(Text(f"whole graph: {error:.1e} of std from the graph before merging" if error is not None else ""))
    if merged.out is not None:
        stdout().print(Text(f"written: {merged.out}"))


_APPLIED = ["where", "equation", "params", "MACs", "nodes", "float64", "float32"]


def _applied(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        ", ".join(row["where"]),
        row["equation"],
        f"{row['params_before']:,} → {row['params_after']:,}",
        "" if row["macs_before"] is None else f"{row['macs_before']:,} → {row['macs_after']:,}",
        f"{row['nodes_before']} → {row['nodes_after']}",
        _error(row["error_float64"]),
        _error(row["error_float32"]),
    )


def _declined(row: dict[str, Any]) -> tuple[str, ...]:
    return ", ".join(row["where"]), row["equation"], row["reason"]


def _worst(applied: list[dict[str, Any]], equation: str) -> tuple[str, str]:
    mine = [a for a in applied if a["equation"] == equation]
    return tuple(_error(max((a[k] or 0.0) for a in mine)) for k in ("error_float64", "error_float32"))  # type: ignore[return-value]


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.0e}"
