"""`make zoo-table`: export the zoo, keep what every export said in `docs/zoo.json`, and write the tables from it.

    python tests/zoo/measure_zoo.py [NAME …] [--targets ort,coreml] [--again] [--latency] [--no-export] [--bundles DIR]

Goes from the smallest network to the largest, keeps each figure as it comes, and skips what is there already unless
told `--again`, so it may be stopped at any time. Latency is a run of its own (`--no-export --latency`, over the bundles
that are there): it wants a machine that does nothing else. `--no-export` alone writes the tables.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from workspace import ROOT
from zoo_figures import TARGETS, chosen, pages, read_figures, write_figures

from edgevision.errors import GraphError, TargetError
from edgevision.manifest import Manifest
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.registry import Variant
from edgevision.targets.target import targets

#: Timed runs, and for networks above so many multiply-accumulates, which take a second or more each.
RUNS, RUNS_OF_THE_LARGE, LARGE = 30, 5, 30e9


def main() -> None:
    """Measure what is asked for, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--no-export", action="store_true")
    parser.add_argument("--bundles", type=Path, default=ROOT / "build" / "zoo")
    given = parser.parse_args()
    here = [name for name in given.targets.split(",") if targets()[name].create().why_not() is None]
    for variant in chosen(given.names):
        for target in [] if given.no_export else here:
            if given.again or not known(variant, target):
                export(variant, target, given.bundles)
        if given.latency and (given.again or "latency" not in read_figures().get(variant.name, {})):
            time(variant, given.bundles)
    for page, text in pages(read_figures()).items():
        page.write_text(text)


def known(variant: Variant, target: str) -> bool:
    """Whether an earlier run built it, or was refused."""
    entry = read_figures().get(variant.name, {})
    return target in entry.get("parity", {}) or target in entry.get("refused", {})


def export(variant: Variant, target: str, bundles: Path) -> None:
    """Export and keep the facts, or why a target refuses."""
    options = ExportOptions(
        model=variant.name, target=target, precision="fp32", out=bundles / f"{variant.name}-{target}"
    )
    try:
        manifest = export_bundle(options).manifest
    except (GraphError, TargetError) as error:
        keep(variant, {}, {"refused": {target: error.reason}})
        return
    keep(variant, {k: manifest.reparam[k] for k in ("before", "after")}, {"parity": {target: parity(manifest)}})


def keep(variant: Variant, facts: dict[str, Any], of_target: dict[str, dict[str, Any]]) -> None:
    """Add to the variant's entry; what a target says replaces what it said before."""
    figures = read_figures()
    entry = figures.setdefault(variant.name, {}) | facts
    for kind in ("parity", "refused"):
        ours = {t: found for t, found in entry.pop(kind, {}).items() if not any(t in new for new in of_target.values())}
        if ours | of_target.get(kind, {}):
            entry[kind] = ours | of_target.get(kind, {})
    figures[variant.name] = entry
    write_figures(figures)
    sys.stderr.write(f"{variant.name}: {facts} {of_target}\n")


def parity(manifest: Manifest) -> dict[str, Any]:
    """The artifact's own error where it ran; else the worst of what was proven in its place."""
    if manifest.parity.max_abs_over_std is not None:
        return {"error": manifest.parity.max_abs_over_std, "ran": True}
    return {"error": max(p["max_abs_over_std"] for p in manifest.proofs), "ran": False}


def time(variant: Variant, bundles: Path) -> None:
    """Median of ONNX Runtime's runs on one thread, with the verdict on the trace."""
    from edgevision.devices.local import ProfileOptions, profile_local

    bundle, entry = bundles / f"{variant.name}-ort", read_figures().get(variant.name, {})
    if not bundle.is_dir() or "after" not in entry:
        return
    runs = RUNS_OF_THE_LARGE if entry["after"]["macs"] > LARGE else RUNS
    document = profile_local(bundle, ProfileOptions(threads=1, runs=runs))
    keep(variant, {"latency": {"p50": document["latency_ms"]["p50"], "verdict": document["verdict"]}}, {})


if __name__ == "__main__":
    main()
