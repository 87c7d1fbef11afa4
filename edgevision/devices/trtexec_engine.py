"""An engine by the device's own `trtexec`, which loads no Python plugins: every operator's body is inlined into the graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from edgevision.devices.device import Device
from edgevision.devices.engine_graph import write_parser_graph
from edgevision.devices.engine_maker import ENGINE, GRAPH, LONGEST_BUILD, LONGEST_RUN, Timed
from edgevision.devices.local import ProfileOptions
from edgevision.devices.sampling import Recording, sampling_script
from edgevision.devices.trtexec import (
    FINISHED,
    LAYERS,
    OUTPUTS,
    STARTING,
    TIMES,
    build_command,
    read_layers,
    read_outputs,
    read_times,
    time_command,
    version_in,
)
from edgevision.errors import DeviceError
from edgevision.manifest import Manifest
from edgevision.stages.samples import Samples

__all__ = ["TrtexecEngine"]

#: Where JetPack puts it.
JETPACK = "/usr/src/tensorrt/bin/trtexec"
#: trtexec's options have commas and colons between names and files.
_INPUT = re.compile(r"[A-Za-z0-9_./-]+")


class TrtexecEngine:
    """See `EngineMaker`. `scratch` is a folder here for what is only made for the way."""

    name: ClassVar[str] = "trtexec"
    kept: ClassVar[Sequence[str]] = (ENGINE,)

    def __init__(self, device: Device, program: str, bundle: Path, manifest: Manifest, scratch: Path) -> None:
        self._device, self._program, self._scratch = device, program or JETPACK, scratch
        self._bundle, self._manifest = bundle, manifest
        self._version = ""

    def version(self) -> str:
        """By the banner that every call of it prints."""
        lines: list[str] = []
        finished = self._device.run([self._program, "--help"], seconds=60, on_line=lines.append)
        found = version_in([*lines, *finished.errors.splitlines()])
        if found is None:
            reason = f"there is no trtexec at {self._program} (exit code {finished.code})"
            mend = "install JetPack's TensorRT, or name it as `trtexec` in devices.toml"
            raise DeviceError(self._device.name, reason, mend)
        self._version = found
        return found

    def prepare(self, graph: Path) -> None:
        """The parser's graph with every body inlined; trtexec is of the TensorRT that builds on its own GPU."""
        from edgevision.targets.tensorrt.flavor import FLAVORS

        write_parser_graph(self._bundle, self._manifest, graph, FLAVORS["enterprise"], use_plugins=False)

    def build(self, graph: Path) -> None:
        """Send the graph and run trtexec on it."""
        self._device.push(graph, GRAPH)
        precision = str(self._manifest.target.get("precision"))
        self._ran(build_command(self._program, self._version, precision), LONGEST_BUILD)

    def time(self, samples: Samples, options: ProfileOptions) -> Timed:
        """Sensors are read from when trtexec says that it starts until it tells what it found."""
        self._push_feeds(samples)
        recording = Recording()

        def on_line(line: str) -> None:
            if STARTING in line or FINISHED in line:
                recording.ran()

        inputs = list(samples.feeds[0])
        command = time_command(self._program, inputs, options.runs, options.seconds, layers=options.per_op)
        with self._device.beside(sampling_script(LONGEST_RUN), recording.line):
            self._ran(command, LONGEST_RUN, on_line)
        for name in (TIMES, OUTPUTS, *([LAYERS] if options.per_op else [])):
            self._device.pull(name, self._scratch / name)
        compute, with_copies = read_times(self._scratch / TIMES, self._device.name)
        outputs = read_outputs(self._scratch / OUTPUTS, self._device.name)
        layers = read_layers(self._scratch / LAYERS, self._device.name) if options.per_op else None
        return Timed(compute=compute, with_copies=with_copies, outputs=outputs, recording=recording, layers=layers)

    def _push_feeds(self, samples: Samples) -> None:
        import numpy as np

        for number, (name, array) in enumerate(samples.feeds[0].items()):
            if not _INPUT.fullmatch(name):
                raise DeviceError(
                    self._device.name, f"trtexec cannot name the input {name!r}", "export with a plainer name"
                )
            (self._scratch / f"feed.{number}").write_bytes(np.ascontiguousarray(array).tobytes())
            self._device.push(self._scratch / f"feed.{number}", f"feed.{number}")

    def _ran(self, command: list[str], seconds: float, on_line: Callable[[str], None] = lambda _line: None) -> None:
        lines: list[str] = []

        def keep(line: str) -> None:
            lines.append(line)
            on_line(line)

        finished = self._device.run(command, seconds=seconds, on_line=keep)
        if finished.code:
            said = [line for line in [*lines, *finished.errors.splitlines()] if "[E]" in line or "rror" in line]
            how = f"signal {finished.signal}" if finished.signal else f"exit code {finished.code}"
            last = f" ({said[-1].strip()})" if said else ""
            raise DeviceError(self._device.name, f"trtexec ended with {how}{last}", "see docs/tensorrt.md")
