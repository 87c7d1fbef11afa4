"""`edgevision profile`: latency of a bundle, with the evidence for believing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevision.cli.options import BundleArg, Json, Out, ThreadCount

if TYPE_CHECKING:
    from edgevision.devices.local import ProfileOptions
    from edgevision.devices.watching import Watch
    from edgevision.stages.timing import Report

__all__ = ["register"]


def profile(
    bundle: BundleArg,
    device: Annotated[
        str, typer.Option("--device", help="local, a name of devices.toml, ssh://…, adb://…, iphone")
    ] = "local",
    threads: ThreadCount = 1,
    runs: Annotated[int | None, typer.Option("--runs", min=10, help="Timed runs; 100, for at least 2 seconds")] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0, max=3600, help="And for at least so long")
    ] = None,
    per_op: Annotated[bool, typer.Option("--per-op", help="Time per op type")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Running median while it measures")] = False,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure latency, and say whether it may be believed.

    Warm-up until stable, timed runs, percentiles, an interval on the median, and the state of the machine.
    """
    from edgevision.cli.console import print_json, progress
    from edgevision.cli.watch import RunningMedian
    from edgevision.devices.local import ProfileOptions
    from edgevision.devices.watching import unwatched

    long_enough = 2.0 if runs is None else 0.0  # for slow phases of the machine to show; a number given is kept to
    options = ProfileOptions(
        threads=threads,
        runs=100 if runs is None else runs,
        seconds=long_enough if seconds is None else seconds,
        per_op=per_op,
    )
    if watch:
        running = RunningMedian()
        document = _measure(bundle, device, options, out, running.stage, running.runs)
        running.end()
    else:
        with progress("profile") as report:
            document = _measure(bundle, device, options, out, report, unwatched)
    if out is not None:
        _write(out, document)
    if json:
        print_json(document)
    else:
        _show(bundle, document)


def _measure(
    bundle: Path, device: str, options: ProfileOptions, out: Path | None, report: Report, watch: Watch
) -> dict[str, Any]:
    """Here or on a device; what was measured before it ended is written to `out`, and the error goes on."""
    from edgevision.devices.iphone import IPHONE, profile_iphone
    from edgevision.devices.local import profile_local
    from edgevision.devices.named import find_device
    from edgevision.devices.remote_profile import HalfMeasuredError, profile_device

    if device == "local":
        return profile_local(bundle, options, report=report, watch=watch)
    if device == IPHONE:
        return profile_iphone(bundle, options, report=report)
    named = find_device(device)
    try:
        return profile_device(bundle, named, options, report=report, watch=watch)
    except HalfMeasuredError as ended:
        if out is not None:
            _write(out, dict(ended.document))
            typer.echo(f"what had been measured is in {out}", err=True)
        raise


def _write(out: Path, document: dict[str, Any]) -> None:
    import json

    from edgevision.whole_file import whole_file

    with whole_file(out) as staging:
        staging.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _show(bundle: Path, document: dict[str, Any]) -> None:
    from edgevision.cli.console import print_facts, print_table

    latency = document["latency_ms"]
    low, high = latency["interval"]
    rows = [
        ("p50", f"{latency['p50']:.2f} ms  (95 % interval {low:.2f} to {high:.2f}, n = {document['runs']})"),
        ("p90 / p99", f"{latency['p90']:.2f} / {latency['p99']:.2f} ms"),
        ("coefficient of variation", f"{latency['cv']:.1%}"),
        ("end to end", _end_to_end(document["end_to_end_ms"])),
        ("cold start", _number(document["cold_start_ms"], "ms")),
        ("peak memory", _number(document["peak_memory_mib"], "MiB")),
        ("threads", document["threads"] or "as the runtime chooses"),
        ("placement", _placement(document["placement"])),
        ("verdict", "; ".join([document["verdict"], *document["reasons"]])),
        ("energy", _energy(document)),
        ("parity here", _parity(document["parity"])),
        *((f"on {unit['name']}", _unit(unit)) for unit in document.get("compute_units", ())),
    ]
    print_facts(f"{bundle} on {document['device']['cpu']}", rows)
    if document["per_op"]:
        print_table(
            "per op type, one run",
            ["ms", "share", "count", "op"],
            [(f"{r['ms']:.3f}", f"{r['share']:.1%}", r["count"], r["op"]) for r in document["per_op"]],
        )

    efficiency = document.get("efficiency")
    if efficiency and "ideal_ms" in efficiency:
        _show_efficiency(efficiency)


def _show_efficiency(found: dict[str, Any]) -> None:
    """Peaks, bounds and what is under water; all of it is in the document and the report."""
    from edgevision.cli.console import print_facts

    peaks, unfused, fused = found["peaks"], found["unfused"], found["block_fused"]
    gops = ", ".join(f"{p} {'—' if g is None else f'{g:.0f}'}" for p, g in peaks["gemm_gops"].items())
    rows = [
        ("peaks", f"GEMM {gops} (1e9 ops/s), copy {peaks['copy_gb_s']:.1f} (1e9 B/s)"),
        ("work", f"{found['macs'] / 1e6:.1f} million multiply-accumulates, ideal {found['ideal_ms']:.2f} ms"),
        ("computational efficiency", f"{found['computational_efficiency']:.0%}"),
        ("unfused", _sequence(unfused, "kernels")),
        ("blocks fused", _sequence(fused, "blocks")),
    ]
    print_facts("efficiency (docs/efficiency.md)", rows)


def _sequence(found: dict[str, Any], what: str) -> str:
    under, count = found["under_water"], len(found["kernels"])
    return f"{under} of {count} {what} under water, attainable {found['attainable_ms']:.2f} ms"


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.0f} {unit}"


def _energy(document: dict[str, Any]) -> str:
    """Of one inference; nothing is said where a profile has no sensors."""
    sensors = document.get("sensors")
    if not sensors:
        return ""
    if document["energy_mj"] is None:
        return f"not known: {sensors['why_no_energy'] or 'it is emulated'}"
    low, high = sensors["energy"]["interval"]
    return f"{document['energy_mj']:.3g} mJ an inference ({low:.3g} to {high:.3g}, n = {sensors['energy']['n']})"


def _parity(document: dict[str, Any] | None) -> str:
    return "not taken" if document is None else f"{document['max_abs_over_std']:.1e} of std"


def _unit(unit: dict[str, Any]) -> str:
    return f"{unit['latency_ms']['p50']:.2f} ms p50, loaded in {unit['load_ms']:.0f} ms"


def _placement(document: dict[str, int] | None) -> str:
    return "" if document is None else ", ".join(f"{n} nodes on {where}" for where, n in document.items())


def _end_to_end(document: dict[str, Any] | None) -> str:
    return "" if document is None else f"{document['p50']:.2f} ms p50 ({document['what']})"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(profile)
