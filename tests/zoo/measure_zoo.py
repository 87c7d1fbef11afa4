"""`make zoo-table`: export the zoo, keep what every export said in `docs/zoo.json`, and write the README's table.

    python tests/zoo/measure_zoo.py [NAME …] [--targets ort,coreml] [--latency] [--again] [--only-table]

Goes from the smallest network to the largest, keeps each figure as it comes, and skips what is there already, so it
may be stopped at any time. Latency is a run of its own: it wants a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from workspace import ROOT
from zoo_figures import README, TARGETS, chosen, read_figures, render, spliced, write_figures

from edgevision.errors import EdgeError
from edgevision.manifest import Manifest
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.registry import Variant

BUNDLES = ROOT / "build" / "zoo"


def main() -> None:
    """Measure what is asked for, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--only-table", action="store_true")
    given = parser.parse_args()
    for variant in [] if given.only_table else chosen(given.names):
        for target in given.targets.split(","):
            if given.again or target not in read_figures().get(variant.name, {}).get("parity", {}):
                export(variant, target)
        if given.latency:
            time(variant)
    README.write_text(spliced(README.read_text(), render(read_figures())))


def export(variant: Variant, target: str) -> None:
    """Export and keep the facts; a target that refuses says why on the screen and leaves its cell empty."""
    options = ExportOptions(
        model=variant.name, target=target, precision="fp32", out=BUNDLES / f"{variant.name}-{target}"
    )
    try:
        manifest = export_bundle(options).manifest
    except EdgeError as error:
        tell(f"{variant.name} {target}: {error}")
        return
    figures = read_figures()
    entry = figures.setdefault(variant.name, {"parity": {}})
    entry |= {key: manifest.reparam[key] for key in ("before", "after")}
    entry["parity"][target] = parity(manifest)
    write_figures(figures)
    tell(f"{variant.name} {target}: {entry['parity'][target]}")


def parity(manifest: Manifest) -> dict[str, Any]:
    """The artifact's own error where it ran; else the worst of what was proven in its place."""
    if manifest.parity.max_abs_over_std is not None:
        return {"error": manifest.parity.max_abs_over_std, "ran": True}
    return {"error": max((p["max_abs_over_std"] for p in manifest.proofs), default=None), "ran": False}


def time(variant: Variant) -> None:
    """Median of 30 runs of ONNX Runtime on one thread, with the verdict on the trace."""
    from edgevision.devices.local import ProfileOptions, profile_local

    bundle = BUNDLES / f"{variant.name}-ort"
    if not bundle.is_dir():
        return
    document = profile_local(bundle, ProfileOptions(threads=1, runs=30))
    figures = read_figures()
    figures[variant.name]["latency"] = {"p50": document["latency_ms"]["p50"], "verdict": document["verdict"]}
    write_figures(figures)
    tell(f"{variant.name}: {figures[variant.name]['latency']}")


def tell(line: str) -> None:
    """Progress, at once."""
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
