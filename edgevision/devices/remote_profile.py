"""Profiling a bundle on a device: push it, run it with our runner, compare its outputs, take the device's state twice."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.bundle import inside, open_bundle
from edgevision.devices.device import Device, DeviceLostError, Finished
from edgevision.devices.local import ProfileOptions, bundle_facts
from edgevision.devices.named import NamedDevice, open_device
from edgevision.devices.probe import state_of
from edgevision.devices.runner import Told, read_tensors, runner_command, runner_path, runtime_library, write_tensors
from edgevision.devices.throttling import reasons_against
from edgevision.devices.watching import Watch, unwatched
from edgevision.errors import DataError, DeviceError, TargetError
from edgevision.latency import judge, summarize
from edgevision.manifest import Manifest, as_json
from edgevision.pipeline import SAMPLE
from edgevision.proof import worst_difference
from edgevision.stages.samples import Samples, read_samples
from edgevision.stages.timing import Report, unreported

__all__ = ["HalfMeasuredError", "profile_device"]

#: Seconds a profile may take on the device before it is ended there.
LONGEST = 600.0


class HalfMeasuredError(DeviceLostError):
    """The device was lost while it measured; `document` holds what had arrived."""

    def __init__(self, lost: DeviceLostError, document: Mapping[str, Any]) -> None:
        super().__init__(lost.thing, lost.reason, lost.mend)
        self.document = document


@dataclass(frozen=True, kw_only=True)
class _Kit:
    """Files here that go along, and where the device finds ONNX Runtime."""

    runner: Path
    library: str
    pushed: Sequence[Path]
    kernels: Path | None


def profile_device(
    bundle: Path,
    named: NamedDevice,
    options: ProfileOptions,
    *,
    report: Report = unreported,
    watch: Watch = unwatched,
) -> dict[str, Any]:
    """Measure a bundle on a device. Returns the document of `profile --json`, schema version 1.

    Raises:
        DataError: not a bundle, or one for another runtime.
        DeviceError: the device cannot be reached, lacks something, or the model fails there.
        HalfMeasuredError: the device was lost; what had been measured is in it.
        TargetError: the device's outputs differ from the bundle's sample.
    """
    manifest = open_bundle(bundle)
    if manifest.target["name"] != "ort":
        raise DataError(str(bundle), f"it is for {manifest.target['name']}", "devices run bundles of --target ort")
    model = inside(bundle, manifest.artifact["path"])
    samples = read_samples(bundle / SAMPLE, manifest.parity.reference)
    report("connect")
    with open_device(named) as device, tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        before = dict(device.probe())
        kit = _kit(bundle, manifest, named, before.get("arch", ""))
        report("push")
        _push(device, kit, model, samples, Path(folder))
        report(f"warm up, {options.runs} runs")
        told, failure = _run(device, kit, model.name, options, watch)
        facts = _facts(manifest, named, before, options, told)
        if isinstance(failure, DeviceLostError):
            raise HalfMeasuredError(failure, _half(facts, told, failure, options)) from failure
        if failure is not None:
            raise failure
        device.pull("outputs.bin", Path(folder) / "outputs.bin")
        after = dict(device.probe())
        parity = _parity(read_tensors(Path(folder) / "outputs.bin"), samples, manifest, named.name)
    return _document(facts, told, parity=parity, before=before, after=after, emulated=named.emulated)


def _kit(bundle: Path, manifest: Manifest, named: NamedDevice, arch: str) -> _Kit:
    """What to push; a binary of the wrong processor is found out here and not by a crash there."""
    import platform

    same = arch == platform.machine()
    runner = Path(named.runner) if named.runner else (runner_path() if same else None)
    if runner is None or not runner.is_file():
        mend = "make plugins" if same else "build plugins/runner for it and name it as `runner` in devices.toml"
        raise DeviceError(named.name, f"there is no runner for its processor ({arch})", mend)
    pushed = [runner]
    library = named.onnxruntime
    if not library:
        source = Path(named.push_onnxruntime) if named.push_onnxruntime else (runtime_library() if same else None)
        if source is None or not source.is_file():
            mend = "name onnxruntime (a path there) or push_onnxruntime (a file here) in devices.toml"
            raise DeviceError(named.name, f"there is no ONNX Runtime for its processor ({arch})", mend)
        pushed.append(source)
        library = f"./{source.name}"
    own = manifest.artifact.get("library")
    kernels = Path(named.kernels) if named.kernels else (inside(bundle, str(own)) if own and same else None)
    return _Kit(runner=runner, library=library, pushed=pushed, kernels=kernels)


def _push(device: Device, kit: _Kit, model: Path, samples: Samples, folder: Path) -> None:
    write_tensors(folder / "feeds.bin", samples.feeds[0])
    device.push(kit.runner, "edgevision_runner", executable=True)
    for file in (*kit.pushed[1:], *([kit.kernels] if kit.kernels else []), model, folder / "feeds.bin"):
        device.push(file, file.name)


def _run(
    device: Device, kit: _Kit, model: str, options: ProfileOptions, watch: Watch
) -> tuple[Told, DeviceError | None]:
    """What was measured, and how it ended if not well."""
    told = Told()

    def on_line(line: str) -> None:
        known = len(told.samples)
        told.line(line)
        if len(told.samples) > known:
            watch(told.samples)

    command = runner_command(
        library=kit.library,
        model=model,
        kernels=f"./{kit.kernels.name}" if kit.kernels else None,
        threads=options.threads,
        runs=options.runs,
        cpu=None,
        provider=None,
    )
    try:
        finished = device.run(command, seconds=LONGEST, on_line=on_line)
    except DeviceLostError as lost:
        return told, lost
    return told, _failure(device.name, finished, told)


def _failure(device: str, finished: Finished, told: Told) -> DeviceError | None:
    if finished.code == 0 and told.end is not None and told.samples:
        return None
    said = finished.errors.strip().splitlines()
    how = f"signal {finished.signal}" if finished.signal else f"exit code {finished.code}"
    reason = f"the runner ended with {how} after {len(told.samples)} runs"
    return DeviceError(
        device, f"{reason} ({said[-1]})" if said else reason, _MENDS.get(finished.code, "see docs/devices.md")
    )


#: By the runner's exit code; 126 and 127 are the shell's.
_MENDS = {
    65: "the ONNX Runtime there may be older than the model's opset: use a newer one, or export again",
    69: "see `onnxruntime` and `kernels` of the device in devices.toml",
    126: "the runner is for another processor, or its folder forbids programs: see `folder` in devices.toml",
    127: "the runner is for another processor or another C library: build it for this device",
}


def _facts(
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


def _document(
    facts: dict[str, Any],
    told: Told,
    *,
    parity: Mapping[str, Any],
    before: Mapping[str, str],
    after: Mapping[str, str],
    emulated: bool,
) -> dict[str, Any]:
    latency, end = summarize(told.samples), told.end or {}
    verdict, reasons = judge(latency)
    reasons = (*reasons, *(() if end.get("warm") else ("warming up did not settle within 10 s",)))
    reasons = (*reasons, *reasons_against(before, after))
    told_verdict = "emulated" if emulated else ("unstable" if reasons else verdict)
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
    }


def _half(facts: dict[str, Any], told: Told, lost: DeviceLostError, options: ProfileOptions) -> dict[str, Any]:
    reason = f"the device was lost after {len(told.samples)} of {options.runs} runs ({lost.reason})"
    latency = as_json(summarize(told.samples)) if told.samples else None
    return {
        **facts,
        "latency_ms": latency,
        "verdict": "unstable",
        "reasons": [reason],
        "peak_memory_mib": None,
        "parity": None,
    }


def _parity(outputs: Sequence[Any], samples: Samples, manifest: Manifest, device: str) -> dict[str, Any]:
    """A fast wrong answer is an error: what the device computed against the bundle's sample."""
    error, tolerance = worst_difference(samples.outputs[0], outputs).max_abs_over_std, manifest.parity.tolerance
    if not error <= tolerance:
        raise TargetError(
            manifest.model.variant,
            f"its output on {device} differs from the bundle's sample by {error:.2e} of std (allowed {tolerance:.0e})",
            "try it with --no-plugins, or with another ONNX Runtime on the device",
        )
    return {"max_abs_over_std": error, "tolerance": tolerance, "reference": samples.reference}
