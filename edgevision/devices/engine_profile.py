"""TensorRT on a Jetson: the engine is built on the device by its own `trtexec`, timed there, and fetched back.

trtexec cannot load Python plugins, so every operator's body is inlined into the graph that is sent. The engine comes back
into `on_device/<device>` of the bundle with a record of what it belongs to, and the next profile of the same device sends
it again when that record still holds.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.bundle import inside
from edgevision.devices.device import Device
from edgevision.devices.engine_record import EngineRecord, check_record, read_record, write_record
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import NamedDevice, open_device
from edgevision.devices.remote_document import engine_document, parity_on
from edgevision.devices.sampling import Recording, sampling_script
from edgevision.devices.trtexec import (
    ENGINE,
    FINISHED,
    GRAPH,
    OUTPUTS,
    STARTING,
    TIMES,
    build_command,
    read_outputs,
    read_times,
    time_command,
    version_in,
)
from edgevision.errors import DeviceError, UsageError
from edgevision.hashing import file_sha256
from edgevision.manifest import Manifest
from edgevision.pipeline import SAMPLE
from edgevision.stages.samples import Samples, read_samples
from edgevision.stages.timing import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["profile_engine"]

KEPT, RECORD = "on_device", "record.json"
#: Where JetPack puts it.
JETPACK = "/usr/src/tensorrt/bin/trtexec"
#: Seconds an engine may take to build on the device, and to be timed.
LONGEST_BUILD, LONGEST_RUN = 3600.0, 600.0
#: trtexec's options have commas and colons between names and files.
_INPUT = re.compile(r"[A-Za-z0-9_./-]+")


def profile_engine(
    bundle: Path, manifest: Manifest, named: NamedDevice, options: ProfileOptions, report: Report
) -> dict[str, Any]:
    """Measure a TensorRT bundle on a device. Returns the document of `profile --json`, schema version 1.

    Raises:
        DataError: the engine kept from before is damaged.
        DeviceError: no trtexec there, it fails, or the engine kept from before is for another device.
        TargetError: the engine's outputs differ from the bundle's sample.
        UsageError: an option that trtexec does not know.
    """
    if options.per_op:
        raise UsageError("--per-op", "it is not measured for an engine on a device", "leave it out")
    samples = read_samples(bundle / SAMPLE, manifest.parity.reference)
    report("connect")
    with open_device(named) as device, tempfile.TemporaryDirectory(prefix="edgevision-") as scratch:
        folder, trtexec = Path(scratch), named.trtexec or JETPACK
        before = dict(device.probe())
        _graph(bundle, manifest, folder / GRAPH)
        here = _here(device, trtexec, before, manifest, folder / GRAPH)
        report("engine")
        _engine(device, trtexec, here, bundle / KEPT / named.name.replace("/", "_"), folder)
        report(f"{options.runs} runs")
        _push_feeds(device, samples, folder)
        recording = _timed(device, time_command(trtexec, list(samples.feeds[0]), options.runs, options.seconds))
        for name in (TIMES, OUTPUTS):
            device.pull(name, folder / name)
        after = dict(device.probe())
        computed = read_outputs(folder / OUTPUTS, named.name)
        parity = parity_on(_in_order(computed, manifest, samples, named.name), samples, manifest, named.name)
        compute, with_copies = read_times(folder / TIMES, named.name)
    return engine_document(
        manifest, named, here.tensorrt, compute, with_copies, recording, parity=parity, before=before, after=after
    )


def _graph(bundle: Path, manifest: Manifest, path: Path) -> None:
    """The parser's graph with every body inlined."""
    import onnx_ir as ir

    from edgevision.targets.tensorrt.prepare import prepare

    batch = (manifest.target.get("options") or {}).get("batch") or {}
    source = ir.load(inside(bundle, manifest.graph.path))
    precision = manifest.target.get("precision", "fp32")
    ir.save(prepare(source, precision=precision, use_plugins=False, batch=int(batch.get("best", 1))).model, path)


def _here(device: Device, trtexec: str, probe: Mapping[str, str], manifest: Manifest, graph: Path) -> EngineRecord:
    """What an engine built there now would belong to; its own hash is not known yet."""
    lines: list[str] = []
    finished = device.run([trtexec, "--help"], seconds=60, on_line=lines.append)
    version = version_in([*lines, *finished.errors.splitlines()])
    if version is None:
        reason = f"there is no trtexec at {trtexec} (exit code {finished.code})"
        raise DeviceError(device.name, reason, "install JetPack's TensorRT, or name it as `trtexec` in devices.toml")
    return EngineRecord(
        tensorrt=version,
        board=probe.get("board"),
        l4t=probe.get("l4t"),
        arch=probe.get("arch"),
        precision=str(manifest.target.get("precision")),
        graph=file_sha256(graph),
        engine="",
    )


def _engine(device: Device, trtexec: str, here: EngineRecord, kept: Path, folder: Path) -> None:
    """Put the engine into the device's work folder: the one kept from before when it belongs there, or a new one."""
    if (kept / RECORD).exists():
        check_record(read_record(kept / RECORD), here, kept / ENGINE, device.name)
        device.push(kept / ENGINE, ENGINE)
        return
    device.push(folder / GRAPH, GRAPH)
    _ran(device, build_command(trtexec, here.tensorrt, here.precision), LONGEST_BUILD)
    device.pull(ENGINE, kept_in(kept) / ENGINE)
    write_record(kept / RECORD, replace(here, engine=file_sha256(kept / ENGINE)))


def kept_in(folder: Path) -> Path:
    """The folder, made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _push_feeds(device: Device, samples: Samples, folder: Path) -> None:
    import numpy as np

    for number, (name, array) in enumerate(samples.feeds[0].items()):
        if not _INPUT.fullmatch(name):
            raise DeviceError(device.name, f"trtexec cannot name the input {name!r}", "export with a plainer name")
        (folder / f"feed.{number}").write_bytes(np.ascontiguousarray(array).tobytes())
        device.push(folder / f"feed.{number}", f"feed.{number}")


def _timed(device: Device, command: list[str]) -> Recording:
    """Time the engine, and read the sensors from when trtexec says that it starts until it tells what it found."""
    recording = Recording()

    def on_line(line: str) -> None:
        if STARTING in line or FINISHED in line:
            recording.ran()

    with device.beside(sampling_script(LONGEST_RUN), recording.line):
        _ran(device, command, LONGEST_RUN, on_line)
    return recording


def _ran(
    device: Device, command: list[str], seconds: float, on_line: Callable[[str], None] = lambda _line: None
) -> None:
    lines: list[str] = []

    def keep(line: str) -> None:
        lines.append(line)
        on_line(line)

    finished = device.run(command, seconds=seconds, on_line=keep)
    if finished.code:
        said = [line for line in [*lines, *finished.errors.splitlines()] if "[E]" in line or "rror" in line]
        how = f"signal {finished.signal}" if finished.signal else f"exit code {finished.code}"
        last = f" ({said[-1].strip()})" if said else ""
        raise DeviceError(device.name, f"trtexec ended with {how}{last}", "see docs/tensorrt.md")


def _in_order(computed: Mapping[str, Any], manifest: Manifest, samples: Samples, device: str) -> list[Any]:
    """Outputs in the sample's order: by the manifest's names where it has them, else as trtexec wrote them."""
    names = [output["name"] for output in manifest.outputs] if manifest.outputs else list(computed)
    missing = [name for name in names if name not in computed]
    if missing or len(names) != len(samples.outputs[0]):
        raise DeviceError(device, f"the engine's outputs are {', '.join(computed)}", "export the bundle again")
    return [computed[name].reshape(wanted.shape) for name, wanted in zip(names, samples.outputs[0], strict=True)]
