"""Tables of what was decided about INT8: per bundle, and per layer with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.report.table import Cell, Table, cell

__all__ = ["decision_table", "scheme_table"]

Manifest = Mapping[str, Any]


def scheme_table(manifests: Sequence[Manifest]) -> Table | None:
    """Scheme, gain and coverage of each bundle that INT8 was asked for; None when there is none."""
    rows = []
    for m in manifests:
        found = m.get("quantization")
        if not found:
            continue
        speed = found.get("speed") or {}
        low, high = speed.get("interval") or (None, None)
        rows.append(
            (
                cell(f"{m['model']['variant']} ({m['target'].get('name')})"),
                cell(found.get("scheme")),
                cell("INT8" if found.get("gained") else "stays float: INT8 does not gain"),
                cell(speed.get("ratio"), ".2f"),
                cell(None if low is None else f"{low:.2f} to {high:.2f}"),
                cell(found.get("mac_share"), ".1%"),
                cell(len(found.get("quantized") or ())),
                cell(len(found.get("declined") or ())),
                cell((m.get("calibration") or {}).get("images")),
            )
        )
    names = (
        "model",
        "scheme",
        "decision",
        "speed (x float)",
        "95 % interval (x)",
        "MACs in INT8",
        "layers in INT8 (n)",
    )
    more = ("layers left float (n)", "n (calibration images)")
    note = "Speed as measured when the bundle was made, on the machine that made it."
    return Table(title="Quantization", note=note, columns=names + more, rows=rows) if rows else None


def decision_table(manifest: Manifest) -> Table | None:
    """Each layer's decision; with costs and gains where a search measured them. None without quantization."""
    found = manifest.get("quantization") or {}
    searched = {d["layer"]: d for d in found.get("decisions") or () if isinstance(d, Mapping) and "layer" in d}
    reasons: dict[str, str] = dict.fromkeys(found.get("quantized") or (), "")
    declined = dict(found.get("declined") or {})
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys([*searched, *reasons, *declined]):
        d = searched.get(name, {})
        taken = d.get("converted", name not in declined)
        reason = d.get("reason") or declined.get(name, "")
        rows.append(
            (
                cell(name),
                cell("INT8" if taken else "float"),
                cell(d.get("cost"), ".3g"),
                cell(d.get("gain"), ".3g"),
                cell(reason),
            )
        )
    names = ("layer", "decision", "cost (as searched)", "gain (as searched)", "reason")
    note = "Cost and gain where a search measured them; — : decided by rule."
    title = f"Quantization decisions of {manifest['model']['variant']} ({manifest['target'].get('name')})"
    return Table(title=title, note=note, columns=names, rows=rows) if rows else None
