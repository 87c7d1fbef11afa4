"""The document of a profile made on a device, from what the runner told and what the device said before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edgevision.devices.contention import reasons_of
from edgevision.devices.device import DeviceLostError
from edgevision.devices.energy import reasons_during, sensed
from edgevision.devices.engine_maker import Timed
from edgevision.devices.local import ProfileOptions, bundle_facts
from edgevision.devices.named import NamedDevice
from edgevision.devices.probe import state_of
from edgevision.devices.runner import Told
from edgevision.devices.sampling import Recording
from edgevision.devices.throttling import reasons_against
from edgevision.errors import DeviceError, TargetError
from edgevision.latency import judge, summarize
from edgevision.manifest import Manifest, as_json
from edgevision.proof import worst_difference
from edgevision.stages.samples import Samples

__all__ = ["HalfMeasuredError", "engine_document", "facts_of", "half_document", "parity_on", "whole_document"]


class HalfMeasuredError(DeviceError):
    """It ended while it measured: the device was lost (`lost`), or the runner was ended; `document` is what had arrived."""

    def __init__(self, ended: DeviceError, document: Mapping[str, Any]) -> None:
        super().__init__(ended.thing, ended.reason, ended.mend)
        self.document = document
        self.lost = isinstance(ended, DeviceLostError)


def facts_of(
    manifest: Manifest, named: NamedDevice, before: Mapping[str, str], options: ProfileOptions, told: Told
) -> dict[str, Any]:
    """The part of the document that is known however the runs ended."""
    kind, _, _ = named.address.partition("://")
    cpu = before.get("board") or before.get("cpu") or before.get("ro.product.model") or before.get("arch")
    loaded = told.loaded or {}
    return {
        "schema_version": 1,
        "bundle": bundle_facts(manifest),
        "device": {"name": named.name, "kind": kind, "cpu": cpu, "emulated": named.emulated},
        "environment": {"before": state_of(before), "after": None},
        "threads": options.threads,
        "runs": len(told.samples),
        "runtime": {"name": "onnxruntime", "version": loaded.get("onnxruntime"), "runner": "edgevision_runner"},
        "cold_start_ms": loaded["first_ns"] / 1e6 if "first_ns" in loaded else None,
        "warm_up_ms": told.warm,
        "end_to_end_ms": None,
        "per_op": None,
        "placement": None,
        "energy_mj": None,
    }


def whole_document(
    facts: dict[str, Any],
    told: Told,
    recording: Recording,
    named: NamedDevice,
    *,
    parity: Mapping[str, Any],
    before: Mapping[str, str],
    after: Mapping[str, str],
    pinned: bool,
) -> dict[str, Any]:
    """Everything measured, and the verdict: reasons come from the trace, the runner and the device's sensors."""
    latency, end = summarize(told.samples), told.end or {}
    verdict, reasons = judge(latency)
    reasons = (*reasons, *(() if end.get("warm") else ("warming up did not settle within 10 s",)))
    reasons = (*reasons, *((f"it left its core {end['migrations']} times",) if pinned and end["migrations"] else ()))
    sensors = _sensors(recording, latency.mean, named, own=end["cpu_ns"] / end["wall_ns"] if "cpu_ns" in end else None)
    reasons = _once(
        *reasons, *reasons_against(before, after), *reasons_during(recording), *reasons_of(sensors["sensors"])
    )
    told_verdict = "emulated" if facts["device"]["emulated"] else ("unstable" if reasons else verdict)
    return {
        **facts,
        "environment": {"before": state_of(before), "after": state_of(after)},
        "latency_ms": as_json(latency),
        "verdict": told_verdict,
        "reasons": list(reasons),
        "peak_memory_mib": round(end["peak_kb"] / 1024, 1),
        "migrations": end["migrations"],
        "preempted": end["preempted"],
        "parity": parity,
        **sensors,
    }


def _sensors(recording: Recording, mean_ms: float, named: NamedDevice, own: float | None = None) -> dict[str, Any]:
    """What was sensed during the runs; an emulator has no energy of its own."""
    sensors = sensed(recording, mean_ms, named.power, own)
    energy = sensors["energy"]
    return {"sensors": sensors, "energy_mj": energy["mj"] if energy and not named.emulated else None}


def _once(*reasons: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reasons))


def engine_document(
    manifest: Manifest,
    named: NamedDevice,
    tensorrt: str,
    runner: str,
    timed: Timed,
    options: ProfileOptions,
    *,
    parity: Mapping[str, Any],
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> dict[str, Any]:
    """A profile of an engine: the GPU's own time is the model's, the time with copies stands beside it."""
    facts = facts_of(manifest, named, before, replace(options, threads=1), Told(samples=list(timed.compute)))
    latency = summarize(timed.compute)
    verdict, reasons = judge(latency)
    sensors = _sensors(timed.recording, latency.mean, named)
    seen = (*reasons_during(timed.recording), *reasons_of(sensors["sensors"]))
    reasons = _once(*reasons, *reasons_against(before, after), *seen)
    return {
        **facts,
        "environment": {"before": state_of(before), "after": state_of(after)},
        "runtime": {"name": "tensorrt", "version": tensorrt, "runner": runner},
        "latency_ms": as_json(latency),
        "with_copies_ms": as_json(summarize(timed.with_copies)),
        "cold_start_ms": timed.cold,
        "per_op": None if timed.layers is None else list(timed.layers),
        "verdict": "emulated" if named.emulated else ("unstable" if reasons else verdict),
        "reasons": list(reasons),
        "peak_memory_mib": None if timed.peak is None else round(timed.peak, 1),
        "parity": parity,
        "efficiency": None,
        **sensors,
    }


def half_document(facts: dict[str, Any], told: Told, ended: DeviceError, options: ProfileOptions) -> dict[str, Any]:
    """What had arrived when the device was lost, or the runner ended too early."""
    how = "the device was lost" if isinstance(ended, DeviceLostError) else "it ended"
    reason = f"{how} after {len(told.samples)} of {options.runs} runs ({ended.reason})"
    return {
        **facts,
        "latency_ms": as_json(summarize(told.samples)),
        "verdict": "unstable",
        "reasons": [reason],
        "peak_memory_mib": None,
        "parity": None,
    }


def parity_on(outputs: Sequence[Any], samples: Samples, manifest: Manifest, device: str) -> dict[str, Any]:
    """A fast wrong answer is an error: what the device computed against the bundle's sample."""
    error, tolerance = worst_difference(samples.outputs[0], outputs).max_abs_over_std, manifest.parity.tolerance
    if not error <= tolerance:
        raise TargetError(
            manifest.model.variant,
            f"its output on {device} differs from the bundle's sample by {error:.2e} of std (allowed {tolerance:.0e})",
            "try it with --no-plugins, or with another ONNX Runtime on the device",
        )
    return {"max_abs_over_std": error, "tolerance": tolerance, "reference": samples.reference}
