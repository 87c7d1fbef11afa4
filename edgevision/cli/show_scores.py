"""The scores behind a regression, as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevision.cli.console import print_table

if TYPE_CHECKING:
    from edgevision.quantize.regress import Regression

__all__ = ["print_scores"]


def print_scores(found: Regression) -> None:
    """A row per bundle: quality, size, speed; bicubic interpolation beside models that enlarge."""
    from edgevision.quantize.regress_report import size_and_speed

    scores = found.evaluation.scores
    heads = list(next(iter(scores.values())).figures())
    rows = [
        [
            name,
            *(f"{value:.4f}" for value in score.figures().values()),
            *size_and_speed(found, name),
        ]
        for name, score in scores.items()
    ]
    if found.evaluation.bicubic is not None:
        figures = found.evaluation.bicubic.figures()
        rows.append(["bicubic", f"{figures['psnr_db']:.4f}", f"{figures['ssim']:.4f}", "", "", ""])
    print_table("scores", ["bundle", *heads, "MiB", "times float's speed"], rows)
