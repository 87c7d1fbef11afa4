"""A tethered iPhone, through coremltools' remote device: `--device iphone` on a Mac. Checked with a stand-in, not run.

coremltools builds and starts a measuring app on the phone (Xcode, and a signing identity, are its business) and times
loads and predictions there. It hands no outputs back, so the document says that parity was not taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgevision.bundle import inside, open_bundle
from edgevision.check_bundle import target_of
from edgevision.devices.local import ProfileOptions, bundle_facts
from edgevision.errors import DataError, DeviceError, UsageError
from edgevision.latency import judge, summarize
from edgevision.manifest import as_json
from edgevision.pipeline import SAMPLE
from edgevision.stages.samples import read_samples
from edgevision.stages.timing import Report, unreported

__all__ = ["IPHONE", "profile_iphone"]

IPHONE = "iphone"


def profile_iphone(bundle: Path, options: ProfileOptions, *, report: Report = unreported) -> dict[str, Any]:
    """Measure a bundle of the target coreml on the one connected iPhone. Returns the document of `profile --json`.

    Raises:
        DataError: not a bundle, or one for another runtime.
        DeviceError: this is no Mac, or not exactly one iPhone is connected.
        UsageError: something is asked for that the phone does not tell.
    """
    manifest = open_bundle(bundle)
    if manifest.target["name"] != "coreml":
        raise DataError(
            str(bundle), f"it is for {manifest.target['name']}", "an iPhone runs bundles of --target coreml"
        )
    if options.per_op:
        raise UsageError("--per-op", "coremltools tells no times per operation of a phone", "leave it out")
    missing = target_of(manifest).why_not_run()
    if missing is not None:
        raise DeviceError("--device iphone", f"it is reached from a Mac: {missing.reason}", missing.mend)
    from edgevision.targets.coreml.mac_profile import measure, placement, sample_features, tethered

    path = inside(bundle, manifest.artifact["path"])
    feeds = read_samples(bundle / SAMPLE, manifest.parity.reference).feeds[0]
    report("connect")
    phone = tethered()
    report(f"{options.runs} runs per choice of compute units")
    measured = measure(path, sample_features(path, feeds), runs=options.runs, device=phone)
    latencies = [summarize(m.samples_ms) for m in measured]
    verdict, reasons = judge(latencies[0])
    return {
        "schema_version": 1,
        "bundle": bundle_facts(manifest),
        "device": {"name": IPHONE, "kind": "iphone", "cpu": str(phone.name), "emulated": False},
        "environment": {"before": None, "after": {"os": str(phone.os_version)}},
        "threads": 0,
        "runs": options.runs,
        "latency_ms": as_json(latencies[0]),
        "end_to_end_ms": None,
        "verdict": verdict,
        "reasons": [*reasons, "the phone's outputs were not compared: coremltools does not hand them back"],
        "cold_start_ms": measured[0].load_ms,
        "peak_memory_mib": None,
        "per_op": None,
        "placement": dict(placement(path)),
        "energy_mj": None,
        "parity": None,
        "compute_units": [
            {"name": m.compute_units, "load_ms": m.load_ms, "latency_ms": as_json(latency)}
            for m, latency in zip(measured, latencies, strict=True)
        ],
    }
