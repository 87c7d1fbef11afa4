"""Profiling a bundle on a device: push it, run it with our runner, compare its outputs, take the device's state twice."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from edgevision.bundle import open_bundle
from edgevision.devices.device import Device, Finished
from edgevision.devices.kit import OUTPUTS, Kit, kit_for, push_kit
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import NamedDevice, open_device
from edgevision.devices.ort_trace import Trace, read_trace
from edgevision.devices.remote_document import HalfMeasuredError, facts_of, half_document, parity_on, whole_document
from edgevision.devices.runner import Told, read_tensors
from edgevision.devices.sampling import Recording, sampling_script
from edgevision.devices.watching import Watch, unwatched
from edgevision.efficiency.analyse import analyse
from edgevision.efficiency.remote_peaks import remote_peaks
from edgevision.errors import DataError, DeviceError
from edgevision.pipeline import SAMPLE
from edgevision.stages.samples import read_samples
from edgevision.stages.timing import Report, unreported

__all__ = ["HalfMeasuredError", "profile_device"]

#: Seconds a profile may take on the device before it is ended there.
LONGEST = 600.0


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
        HalfMeasuredError: the device was lost or the runner ended too early; what had been measured is in it.
        TargetError: the device's outputs differ from the bundle's sample.
    """
    manifest = open_bundle(bundle)
    if manifest.target["name"] == "trt":
        from edgevision.devices.engine_profile import profile_engine

        return profile_engine(bundle, manifest, named, options, report)
    if manifest.target["name"] != "ort":
        reason = f"it is for {manifest.target['name']}"
        raise DataError(str(bundle), reason, "devices run bundles of --target ort or trt")
    samples = read_samples(bundle / SAMPLE, manifest.parity.reference)
    report("connect")
    with open_device(named) as device, tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        before = dict(device.probe())
        kit = kit_for(bundle, manifest, named, before.get("arch", ""))
        report("push")
        push_kit(device, kit, samples, Path(folder))
        report(f"warm up, {options.runs} runs")
        recording = Recording()
        told, failure = _run(device, kit, options, watch, recording)
        facts = facts_of(manifest, named, before, options, told)
        try:
            if failure is not None:
                raise failure
            device.pull(OUTPUTS, Path(folder) / OUTPUTS)
            after = dict(device.probe())
            parity = parity_on(read_tensors(Path(folder) / OUTPUTS), samples, manifest, named.name)
            report("per op")
            traced = _trace(device, kit, options, Path(folder))
            peaks = None
            if options.per_op and not named.emulated:  # an emulator has no peaks
                peaks = remote_peaks(device, kit, options.threads, Path(folder))
        except DeviceError as ended:
            if not told.samples:
                raise
            raise HalfMeasuredError(ended, half_document(facts, told, ended, options)) from ended
    document = whole_document(
        facts, told, recording, named, parity=parity, before=before, after=after, pinned=kit.cpu is not None
    )
    document |= {"per_op": list(traced.per_op) if options.per_op else None, "placement": dict(traced.placement)}
    document["efficiency"] = analyse(bundle, manifest, peaks, document["latency_ms"]["p50"], traced)
    return document


def _run(
    device: Device, kit: Kit, options: ProfileOptions, watch: Watch, recording: Recording
) -> tuple[Told, DeviceError | None]:
    """What was measured, and how it ended if not well; sensors are read meanwhile."""
    told = Told()

    def on_line(line: str) -> None:
        known = len(told.samples)
        told.line(line)
        if len(told.samples) > known:
            recording.ran()
            watch(told.samples)

    longest = LONGEST + options.seconds
    try:
        with device.beside(sampling_script(longest), recording.line):
            finished = device.run(kit.command(options), seconds=longest, on_line=on_line)
    except DeviceError as ended:
        return told, ended
    return told, _failure(device.name, finished, told)


def _trace(device: Device, kit: Kit, options: ProfileOptions, folder: Path) -> Trace:
    """Where each node ran and what each op type took, from runs of their own: tracing slows what it watches."""
    runs = max(10, options.runs // 5) if options.per_op else 1
    told = Told()
    finished = device.run(kit.tracing_command(options, runs), seconds=LONGEST, on_line=told.line)
    failure = _failure(device.name, finished, told)
    if failure is not None:
        raise failure
    name = str((told.end or {})["profile"])
    device.pull(name, folder / "trace.json")
    return read_trace(folder / "trace.json", runs)


def _failure(device: str, finished: Finished, told: Told) -> DeviceError | None:
    if finished.code == 0 and told.end is not None and told.samples:
        return None
    said = finished.errors.strip().splitlines()
    how = f"signal {finished.signal}" if finished.signal else f"exit code {finished.code}"
    reason = f"the runner ended with {how} after {len(told.samples)} runs"
    return DeviceError(
        device, f"{reason} ({said[-1]})" if said else reason, _MENDS.get(finished.code, "see docs/devices.md")
    )


#: By the runner's exit code; 126 and 127 are the shell's, 128 and more are signals.
_MENDS = {
    128 + 9: "it was killed there, or memory ran out (dmesg tells): a smaller batch, fewer threads",
    128 + 11: "ONNX Runtime there or a kernel of ours crashed: try another ONNX Runtime, or a bundle of --no-plugins",
    65: "the ONNX Runtime there may be older than the model's opset: use a newer one, or export again",
    69: "see `onnxruntime` and `kernels` of the device in devices.toml",
    126: "the runner is for another processor, or its folder forbids programs: see `folder` in devices.toml",
    127: "the runner is for another processor or another C library: build it for this device",
}
