"""TensorRT on a Jetson: the engine is built on the device by its own TensorRT, timed there, and fetched back.

It comes back into `on_device/<device>` of the bundle with a record of what it belongs to, and the next profile of the
same device sends it again when that record still holds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevision.devices.device import Device
from edgevision.devices.engine_maker import ENGINE, GRAPH, EngineMaker, HalfTimedError
from edgevision.devices.engine_record import EngineRecord, check_record, read_record, write_record
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import NamedDevice, open_device
from edgevision.devices.python_engine import PythonEngine
from edgevision.devices.remote_document import (
    HalfMeasuredError,
    engine_document,
    facts_of,
    half_document,
    parity_on,
)
from edgevision.devices.trtexec_engine import TrtexecEngine
from edgevision.errors import DeviceError, UsageError
from edgevision.hashing import file_sha256
from edgevision.manifest import Manifest
from edgevision.pipeline import SAMPLE
from edgevision.stages.samples import Samples, read_samples
from edgevision.stages.timing import Report

__all__ = ["profile_engine"]

KEPT, RECORD = "on_device", "record.json"


def profile_engine(
    bundle: Path, manifest: Manifest, named: NamedDevice, options: ProfileOptions, report: Report
) -> dict[str, Any]:
    """Measure a TensorRT bundle on a device. Returns the document of `profile --json`, schema version 1.

    Raises:
        DataError: the engine kept from before is damaged.
        DeviceError: no TensorRT there, it fails, or the engine kept from before is for another device.
        HalfMeasuredError: it ended while it was timed; what had been measured is in it.
        TargetError: the engine's outputs differ from the bundle's sample.
        UsageError: times per layer are asked of an engine in Python.
    """
    if options.per_op and named.python:
        raise UsageError("--per-op", "it is not measured for an engine in Python on a device", "leave it out")
    samples = read_samples(bundle / SAMPLE, manifest.parity.reference)
    report("connect")
    with open_device(named) as device, tempfile.TemporaryDirectory(prefix="edgevision-") as scratch:
        maker = _maker(device, named, bundle, manifest, Path(scratch))
        before = dict(device.probe())
        version = maker.version()
        graph = Path(scratch) / GRAPH
        maker.prepare(graph)
        here = _here(version, before, manifest, graph)
        report("engine")
        _engine(device, maker, here, bundle / KEPT / named.name.replace("/", "_"), graph)
        report(f"{options.runs} runs")
        try:
            timed = maker.time(samples, options)
        except HalfTimedError as half:
            facts = facts_of(manifest, named, before, options, half.told)
            facts["runtime"] = {"name": "tensorrt", "version": version, "runner": maker.name}
            raise HalfMeasuredError(half.ended, half_document(facts, half.told, half.ended, options)) from half.ended
        after = dict(device.probe())
        parity = parity_on(_in_order(timed.outputs, manifest, samples, named.name), samples, manifest, named.name)
    return engine_document(
        manifest, named, version, maker.name, timed, options, parity=parity, before=before, after=after
    )


def _maker(device: Device, named: NamedDevice, bundle: Path, manifest: Manifest, scratch: Path) -> EngineMaker:
    """Python where the device's entry names one, else trtexec."""
    if named.python:
        return PythonEngine(device, named.python, bundle, manifest, scratch)
    return TrtexecEngine(device, named.trtexec, bundle, manifest, scratch)


def _here(version: str, probe: Mapping[str, str], manifest: Manifest, graph: Path) -> EngineRecord:
    """What an engine built there now would belong to; its own hash is not known yet."""
    return EngineRecord(
        tensorrt=version,
        board=probe.get("board"),
        l4t=probe.get("l4t"),
        arch=probe.get("arch"),
        gpu=probe.get("gpu"),
        precision=str(manifest.target.get("precision")),
        graph=file_sha256(graph),
        engine="",
    )


def _engine(device: Device, maker: EngineMaker, here: EngineRecord, kept: Path, graph: Path) -> None:
    """Put the engine into the device's work folder: the one kept from before when it belongs there, or a new one."""
    if (kept / RECORD).exists():
        check_record(read_record(kept / RECORD), here, kept / ENGINE, device.name)
        for name in maker.kept:
            device.push(kept / name, name)
        return
    maker.build(graph)
    kept.mkdir(parents=True, exist_ok=True)
    for name in maker.kept:
        device.pull(name, kept / name)
    write_record(kept / RECORD, replace(here, engine=file_sha256(kept / ENGINE)))


def _in_order(computed: Mapping[str, Any], manifest: Manifest, samples: Samples, device: str) -> list[Any]:
    """Outputs in the sample's order: by the manifest's names where it has them, else as they were written."""
    names = [output["name"] for output in manifest.outputs] if manifest.outputs else list(computed)
    missing = [name for name in names if name not in computed]
    if missing or len(names) != len(samples.outputs[0]):
        raise DeviceError(device, f"the engine's outputs are {', '.join(computed)}", "export the bundle again")
    return [computed[name].reshape(wanted.shape) for name, wanted in zip(names, samples.outputs[0], strict=True)]
