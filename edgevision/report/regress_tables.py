"""Tables of `regress --json`: verdicts against the float bundle and the committed baseline, and the scores behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgevision.report.table import Table, cell

__all__ = ["check_table", "picture_table", "score_table"]

Regression = Mapping[str, Any]


def check_table(regressions: Sequence[Regression]) -> Table | None:
    """Every comparison with its verdict; None without any."""
    rows = [
        (cell(c["bundle"]), cell(c["against"]), cell(c["what"]), cell(c["verdict"]), cell(c["said"]), cell(r["images"]))
        for r in regressions
        for c in r["checks"]
    ]
    names = ("bundle", "against", "what", "verdict", "found", "n (images)")
    note = "Compared in pairs, image by image; inconclusive: the data cannot decide."
    return Table(title="Against float and baseline", note=note, columns=names, rows=rows) if rows else None


def score_table(regressions: Sequence[Regression]) -> Table | None:
    """Accuracy and fidelity of every bundle that classifies; None without any."""
    rows = [
        (
            cell(name),
            cell(s["top1"] if r["labelled"] else None, ".2%"),
            cell(s["top5"] if r["labelled"] else None, ".2%"),
            cell(s["agreement"], ".2%"),
            cell(s["snr_db"], ".1f"),
            cell(r["images"]),
        )
        for r in regressions
        for name, s in r["scores"].items()
        if "top1" in s
    ]
    names = ("bundle", "top-1", "top-5", "agreement with float", "SNR (dB)", "n (images)")
    note = "Agreement: the same first class as the float bundle. — : the images have no labels; of SNR: equal to float."
    return Table(title="Scores", note=note, columns=names, rows=rows) if rows else None


def picture_table(regressions: Sequence[Regression]) -> Table | None:
    """Closeness to the true picture of every bundle that enlarges, and of bicubic enlargement; None without any."""
    rows = [
        (
            cell(name),
            cell(s["psnr_db"], ".2f"),
            cell(s["ssim"], ".4f"),
            cell(s.get("snr_db"), ".1f"),
            cell(r["images"]),
        )
        for r in regressions
        for name, s in (*r["scores"].items(), *([("bicubic", r["bicubic"])] if r.get("bicubic") else []))
        if "psnr_db" in s
    ]
    names = ("bundle", "PSNR (dB)", "SSIM", "SNR (dB)", "n (images)")
    note = "PSNR and SSIM on luma, without the border; SNR against the float bundle, — : equal to it, or not compared."
    return Table(title="Scores of pictures", note=note, columns=names, rows=rows) if rows else None
