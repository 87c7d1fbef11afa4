"""The measurements as CSV: one row each, full precision, a unit in every column's name, empty where not measured."""

from __future__ import annotations

import csv
import io

from edgevision.report.entry import Entry
from edgevision.report.page import Page
from edgevision.report.quantile import quantile, quantile_interval

__all__ = ["to_csv"]

_LATENCY = ("p50_ms", "p50_low_ms", "p50_high_ms", "p90_ms", "p90_low_ms", "p90_high_ms", "p99_ms", "cv", "n_runs")
_COLUMNS = (
    *("source", "model", "target", "precision", "device", "machine", "emulated", "threads"),
    *_LATENCY,
    *("verdict", "reasons", "cold_start_ms", "end_to_end_p50_ms", "peak_memory_mib"),
    *("energy_mj", "energy_low_mj", "energy_high_mj", "energy_n_readings"),
    *("parity_max_abs_over_std", "accuracy_metric", "accuracy", "accuracy_low", "accuracy_high", "n_images"),
)


def to_csv(page: Page) -> str:
    """A header and one row per profile."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_row(entry) for entry in page.entries)
    return out.getvalue()


def _row(e: Entry) -> tuple[object, ...]:
    ordered, document = sorted(e.samples), e.document
    whole, parity, accuracy = document.get("end_to_end_ms") or {}, document.get("parity") or {}, e.accuracy
    p90 = (quantile(ordered, 0.9), *quantile_interval(ordered, 0.9))
    energy = (document.get("sensors") or {}).get("energy") or {}
    low, high = (accuracy.interval if accuracy else None) or (None, None)
    return (
        *(e.source, e.model, e.target, e.precision, e.device, e.machine, document["device"].get("emulated"), e.threads),
        *(e.p50, *e.interval, *p90, quantile(ordered, 0.99), e.cv, len(ordered)),
        *(e.verdict, "; ".join(e.reasons), document.get("cold_start_ms"), whole.get("p50")),
        *(document.get("peak_memory_mib"), document.get("energy_mj")),
        *(*(energy.get("interval") or (None, None)), energy.get("n"), parity.get("max_abs_over_std")),
        *((accuracy.metric, accuracy.value, low, high, accuracy.n) if accuracy else (None,) * 5),
    )
