"""A regression's result in the forms that CI systems read: JUnit XML, GitHub annotations, Markdown, JSON."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as Xml

from edgevision.manifest import as_json
from edgevision.quantize.baseline import Entry
from edgevision.quantize.regress import Regression

__all__ = ["as_document", "as_github", "as_junit", "as_markdown", "size_and_speed"]

_HEADS = {
    "top1": "top-1",
    "top5": "top-5",
    "agreement": "agreement",
    "snr_db": "SNR dB",
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
}
_LEVEL = {"fail": "error", "inconclusive": "warning", "pass": "notice"}


def as_document(found: Regression) -> dict[str, Any]:
    """What `--json` prints."""
    scores = {
        name: {
            **{key: as_json(value) for key, value in score.figures().items()},
            "bytes": found.entries[name].bytes,
            "speed": as_json(found.speeds.get(name)),
            "was": _was(found.baseline.get(name)),
        }
        for name, score in found.evaluation.scores.items()
    }
    bicubic = found.evaluation.bicubic
    return {
        "verdict": found.verdict,
        "images": found.evaluation.images,
        "data_sha256": found.evaluation.sha256,
        "labelled": found.evaluation.labelled,
        "scores": scores,
        "bicubic": None if bicubic is None else as_json(bicubic.figures()),
        "checks": as_json(found.checks),
    }


def _was(kept: Entry | None) -> dict[str, Any] | None:
    return None if kept is None else {"bytes": kept.bytes, "speed": kept.speed}


def as_junit(found: Regression, *, strict: bool) -> str:
    """One test case per check. An inconclusive one is a skipped test, or a failure under `strict`."""
    failed = [c for c in found.checks if c.verdict == "fail" or (strict and c.verdict == "inconclusive")]
    unsure = [c for c in found.checks if c not in failed and c.verdict == "inconclusive"]
    counts = {"tests": len(found.checks), "failures": len(failed), "skipped": len(unsure)}
    suite = Xml.Element("testsuite", {"name": "edgevision regress", **{k: str(v) for k, v in counts.items()}})
    for check in found.checks:
        case = Xml.SubElement(suite, "testcase", classname=check.bundle, name=f"{check.what} against {check.against}")
        if check in failed:
            Xml.SubElement(case, "failure", message=check.said, type=check.verdict)
        elif check in unsure:
            Xml.SubElement(case, "skipped", message=f"inconclusive: {check.said}")
        else:
            Xml.SubElement(case, "system-out").text = check.said
    return Xml.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_github(found: Regression) -> str:
    """Workflow commands, one a line, which GitHub shows beside the run."""
    lines = (
        f"::{_LEVEL[c.verdict]} title={_property(f'{c.bundle} {c.what}')}::{_data(f'{c.verdict}: {c.said}')}"
        for c in found.checks
    )
    return "".join(f"{line}\n" for line in lines)


def as_markdown(found: Regression) -> str:
    """Two tables: the checks and the scores."""
    lines = [f"### edgevision regress: {found.verdict}", "", "| bundle | against | verdict | |", "|---|---|---|---|"]
    lines += [f"| {c.bundle} | {c.against} | **{c.verdict}** | {c.said} |" for c in found.checks]
    heads = list(next(iter(found.evaluation.scores.values())).figures())
    lines += ["", f"| bundle | {' | '.join(_HEADS[h] for h in heads)} | MiB | times float's speed |"]
    lines += ["|---|" + "--:|" * (len(heads) + 2)]
    for name, score in found.evaluation.scores.items():
        cells = [_cell(head, value) for head, value in score.figures().items()]
        lines.append(f"| {name} | {' | '.join(cells)} | {' | '.join(size_and_speed(found, name))} |")
    if found.evaluation.bicubic is not None:
        whole = found.evaluation.bicubic.figures()
        lines.append(f"| bicubic | {_cell('psnr_db', whole['psnr_db'])} | {_cell('ssim', whole['ssim'])} | | | |")
    return "\n".join([*lines, "", f"{found.evaluation.images} images", ""])


def size_and_speed(found: Regression, name: str) -> tuple[str, str]:
    """Of one bundle: MiB, and times the speed of float; each with the baseline's where there is one."""
    kept = found.baseline.get(name)
    size = f"{found.entries[name].bytes / 2**20:.2f}"
    speed = f"{found.speeds[name].ratio:.2f}" if name in found.speeds else ""
    if kept is not None:
        size += f" (was {kept.bytes / 2**20:.2f})"
        speed += f" (was {kept.speed:.2f})" if speed and kept.speed is not None else ""
    return size, speed


def _cell(head: str, value: float) -> str:
    return (
        f"{value:.2%}"
        if head in ("top1", "top5", "agreement")
        else f"{value:.4f}"
        if head == "ssim"
        else f"{value:.2f}"
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
