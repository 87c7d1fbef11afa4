"""What people see of a manifest: the table of stages and the line of the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.cli.console import print_facts, print_table, stdout
from edgevision.manifest import Manifest

if TYPE_CHECKING:
    from edgevision.pipeline import Exported

__all__ = ["show_explained", "show_export", "show_manifest", "show_record"]


def show_export(done: Exported) -> None:
    """The manifest, and where the bundle is."""
    from rich.text import Text

    show_manifest(done.path, done.manifest)
    stdout().print(Text(f"bundle: {done.path}"))


def show_explained(found: Mapping[str, Any]) -> None:
    """Operator by operator: what it costs, gains, and where it runs; the placements raced and the Pareto front."""
    races = [(name, f"{s['ratio']:.2f}", f"{s['second_ms']:.2f}") for name, s in found["placements"].items()]
    print_table("placements", ["quantized", "times float's speed", "ms"], races)
    searched = found["search"]
    rows = [
        (o["name"], _decibel(o["noise_db"]), f"{o['gain_ms']:.3f}", "INT8" if o["int8"] else "float", o["reason"])
        for o in searched["operators"]
    ]
    rows += [(name, "", "", "float", reason) for name, reason in found["declined"].items() if name not in _names(rows)]
    form = "operators" if found.get("gained", True) else "operators of the form that was tried; the bundle is float"
    print_table(form, ["operator", "noise alone, dB", "gain, ms", "runs in", "because"], rows)
    unit = f"drop, {searched['unit']}"
    front = [(p["operators"], f"{p['drop']:.2f}", f"{p['speed']:.2f}") for p in searched["front"]]
    print_table("Pareto front", ["operators in INT8", unit, "times float's speed"], front)


def _names(rows: list[tuple[str, str, str, str, str]]) -> set[str]:
    return {row[0] for row in rows}


def _decibel(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def show_manifest(path: Path, manifest: Manifest) -> None:
    """Stages with their errors, what the graph and the artifact are, and the verdict."""
    rows = [
        (r.name, f"{r.seconds:.1f}", f"{r.proof_seconds:.1f}", _error(r.max_abs_over_std), "; ".join(r.notes))
        for r in manifest.stages
    ]
    model, target = manifest.model, manifest.target
    title = f"{model.variant} → {target['name']} ({target['precision']})"
    print_table(title, ["stage", "seconds", "of it proof", "max error / std", "notes"], rows)
    custom = ", ".join(f"{n}x {op}" for op, n in manifest.graph.custom_ops.items()) or "none"
    facts = [
        ("parameters", f"{model.params:,}"),
        ("input", " x ".join(map(str, model.input_shape))),
        ("weights", model.weights["source"]),
        ("graph", f"{manifest.graph.nodes} nodes, opset {manifest.graph.opset}, custom operators: {custom}"),
        ("artifact", f"{manifest.artifact['path']}, {manifest.artifact['bytes'] / 2**20:.1f} MiB"),
        ("parity", _verdict(manifest)),
        *_proofs(manifest),
        *_int8(manifest),
    ]
    print_facts(str(path), facts)


def show_record(manifest: Manifest, record: Mapping[str, Any] | None) -> None:
    """What the target's build wrote of its artifact, where it wrote anything."""
    from edgevision.targets.target import targets

    facts = targets()[manifest.target["name"]].facts
    if record is not None and facts is not None:
        print_facts(manifest.artifact["path"], facts(record))


def _proofs(manifest: Manifest) -> list[tuple[str, str]]:
    """A row per kind of proof: what stands before the bracket, how often, and its worst error."""
    kinds: dict[tuple[str, str], list[float]] = {}
    for proof in manifest.proofs:
        kinds.setdefault((proof["what"].partition(" (")[0], proof["against"]), []).append(proof["max_abs_over_std"])
    return [
        (what, f"{max(errors):.1e} of std against {against}" + (f", worst of {len(errors)}" if errors[1:] else ""))
        for (what, against), errors in kinds.items()
    ]


def _int8(manifest: Manifest) -> list[tuple[str, str]]:
    """What INT8 cost and gained, where it was asked for."""
    found, data = manifest.quantization, manifest.calibration
    if found is None or data is None:
        return []
    close, speed = found["fidelity"], found["speed"]
    facts = [
        ("calibration", f"{data['images']} images of {data['name']}, {data['method']}"),
        ("INT8" if found.get("gained", True) else "INT8 tried (the bundle is float)", _scheme(found)),
        ("INT8 against float", _fidelity(close)),
    ]
    if found["mac_share"] is not None:
        facts.append(("multiplications in INT8", f"{found['mac_share']:.0%} on ONNX Runtime's own graph"))
    if found.get("search") is not None:
        facts.append(("search", _searched(found["search"])))
    if speed is not None:
        low, high = speed["interval"]
        facts.append(("speed", f"{speed['ratio']:.2f}x of float (95 % interval {low:.2f} to {high:.2f}), one thread"))
    return facts


def _scheme(found: Mapping[str, Any]) -> str:
    return f"scheme {found['scheme']}, {len(found['quantized'])} linear operators"


def _searched(found: Mapping[str, Any]) -> str:
    taken, budget = found["taken"], found["max_drop"]
    allowed = "" if budget is None else f", allowed {budget:g}"
    return (
        f"{taken['operators']} operators, drop {taken['drop']:.2f} {found['unit']}{allowed}, {found['images']} images; "
        f"{found['seconds'] / 60:.1f} minutes"
    )


def _fidelity(close: Mapping[str, Any]) -> str:
    noise = "equal" if close["snr_db"] is None else f"{close['snr_db']:.1f} dB signal to noise"
    same = "" if close["agreement"] is None else f", same top-1 on {close['agreement']:.1%}"
    return f"{noise}{same}, {close['images']} images"


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"


def _verdict(manifest: Manifest) -> str:
    parity = manifest.parity
    if parity.max_abs_over_std is None:
        return parity.status
    return (
        f"{parity.status}: {parity.max_abs_over_std:.1e} of std against {parity.reference}, "
        f"{parity.samples} samples, tolerance {parity.tolerance:.0e}"
    )
