"""What goes along to a device: our runner, the model, its inputs, and ONNX Runtime and our kernels where it lacks them."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.bundle import inside
from edgevision.devices.device import Device
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import NamedDevice
from edgevision.devices.runner import RUNNER, kernel_library, runner_path, runtime_library, write_tensors
from edgevision.errors import DeviceError
from edgevision.manifest import Manifest
from edgevision.stages.samples import Samples

__all__ = ["OUTPUTS", "Kit", "kit_for", "push_kit"]

FEEDS, OUTPUTS, TRACE = "feeds.bin", "outputs.bin", "trace"


@dataclass(frozen=True, kw_only=True)
class Kit:
    """Files here, and how the device finds ONNX Runtime.

    Attributes:
        runner: our runner, built for its processor.
        model: the ONNX file.
        pushed: further files, under their own names.
        library: ONNX Runtime, as a path there.
        kernels: our kernel library, one of `pushed`; None for none.
        provider: execution provider by ONNX Runtime's name; empty for the CPU.
        cpu: first core to pin to, None for none.
    """

    runner: Path
    model: Path
    pushed: Sequence[Path]
    library: str
    kernels: Path | None
    provider: str
    cpu: int | None

    def command(self, options: ProfileOptions) -> list[str]:
        """The runner's command line for a measurement."""
        return [*self._words(options, options.runs), *(["--seconds", str(options.seconds)] if options.seconds else [])]

    def tracing_command(self, options: ProfileOptions, runs: int) -> list[str]:
        """The runner's command line for a trace of so many runs, which are not warmed up."""
        return [*self._words(options, runs), "--profile", TRACE]

    def _words(self, options: ProfileOptions, runs: int) -> list[str]:
        words = [f"./{RUNNER}", "--library", self.library, "--model", self.model.name, "--feeds", FEEDS]
        words += ["--outputs", OUTPUTS, "--threads", str(options.threads), "--runs", str(runs)]
        kernels = f"./{self.kernels.name}" if self.kernels else None
        for option, value in (("--kernels", kernels), ("--cpu", self.cpu), ("--provider", self.provider or None)):
            if value is not None:
                words += [option, str(value)]
        return words


def kit_for(bundle: Path, manifest: Manifest, named: NamedDevice, arch: str) -> Kit:
    """What to push; a binary of the wrong processor is found out here and not by a crash there.

    Raises:
        DeviceError: there is no runner or no ONNX Runtime for this processor.
    """
    same = arch == platform.machine()
    runner = Path(named.runner) if named.runner else runner_path(arch)
    if runner is None or not runner.is_file():
        mend = "make plugins" if same else "make runner, or name one built for it as `runner` in devices.toml"
        raise DeviceError(named.name, f"there is no runner for its processor ({arch})", mend)
    pushed, library = [], named.onnxruntime
    if not library:
        source = Path(named.push_onnxruntime) if named.push_onnxruntime else (runtime_library() if same else None)
        if source is None or not source.is_file():
            mend = "name onnxruntime (a path there) or push_onnxruntime (a file here) in devices.toml"
            raise DeviceError(named.name, f"there is no ONNX Runtime for its processor ({arch})", mend)
        pushed.append(source)
        library = f"./{source.name}"
    kernels = _kernels(bundle, manifest, named, arch)
    if kernels is not None:
        pushed.append(kernels)
    model = inside(bundle, manifest.artifact["path"])
    cpu = None if named.cpu < 0 else named.cpu
    return Kit(
        runner=runner, model=model, pushed=pushed, library=library, kernels=kernels, provider=named.provider, cpu=cpu
    )


def _kernels(bundle: Path, manifest: Manifest, named: NamedDevice, arch: str) -> Path | None:
    """The library the entry names; else the bundle's own, or its like for the device's processor."""
    own = manifest.artifact.get("library")
    if named.kernels:
        return Path(named.kernels)
    if not own:
        return None
    if arch == platform.machine():
        return inside(bundle, str(own))
    library = kernel_library(arch)
    missing = _missing(inside(bundle, manifest.artifact["path"]), inside(bundle, str(own)), library)
    if missing:
        raise DeviceError(named.name, f"{library} has no kernel of {', '.join(missing)}", "make runner builds it anew")
    return library


def _missing(model: Path, own: Path, other: Path | None) -> list[str]:
    """Operators of a model whose kernels one library has and another, built earlier, has not: names stand in both."""
    if other is None or not own.is_file():
        return []
    known, found = own.read_bytes(), other.read_bytes()
    used = sorted(set(re.findall(rb"Ev[A-Z][A-Za-z]+", model.read_bytes())))
    return [op.decode() for op in used if op in known and op not in found]


def push_kit(device: Device, kit: Kit, samples: Samples, folder: Path) -> None:
    """Copy everything into the work folder; `folder` is a place here for what is only made for the way."""
    write_tensors(folder / FEEDS, samples.feeds[0])
    device.push(kit.runner, RUNNER, executable=True)
    for file in (*kit.pushed, kit.model, folder / FEEDS):
        device.push(file, file.name)
