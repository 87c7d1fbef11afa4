"""An engine with our plugins, by a Python on the device that has TensorRT.

What is sent is this package's own source, as one archive that Python imports from, the parser's graph with plugin nodes,
and the kernels' machine code, which is compiled here. Nothing is installed there. TensorRT loads the plugins' creators
from Python, so that the engine is timed there by Python too.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edgevision.devices.device import Device, Finished
from edgevision.devices.engine_graph import write_parser_graph
from edgevision.devices.engine_maker import ENGINE, GRAPH, LONGEST_BUILD, LONGEST_RUN, HalfTimedError, Timed
from edgevision.devices.local import ProfileOptions
from edgevision.devices.runner import Told, read_tensors, write_tensors
from edgevision.devices.sampling import Recording, sampling_script
from edgevision.errors import DeviceError
from edgevision.manifest import Manifest
from edgevision.stages.samples import Samples

if TYPE_CHECKING:
    from edgevision.targets.tensorrt.prepare import Prepared

__all__ = ["PythonEngine", "write_source"]

SOURCE: Final = "edgevision.zip"
RECORD: Final = "engine.json"
REQUEST, FEEDS, OUTPUTS = "request.json", "feeds.bin", "outputs.bin"
_PACKAGE: Final = "edgevision.targets.tensorrt"
#: Seconds for a question.
PATIENCE = 60.0


def write_source(path: Path) -> None:
    """The source of this package as an archive to import from."""
    import edgevision

    root = Path(edgevision.__file__).parent
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*.py")):
            archive.write(file, Path("edgevision") / file.relative_to(root))


class PythonEngine:
    """See `EngineMaker`. `scratch` is a folder here for what is only made for the way."""

    name: ClassVar[str] = "edgevision in Python"
    kept: ClassVar[Sequence[str]] = (ENGINE, RECORD)

    def __init__(self, device: Device, python: str, bundle: Path, manifest: Manifest, scratch: Path) -> None:
        self._device, self._python, self._scratch = device, python, scratch
        self._bundle, self._manifest = bundle, manifest
        self._flavor = ""
        self._prepared: Prepared | None = None

    def version(self) -> str:
        """Sends the source, and asks what is there."""
        write_source(self._scratch / SOURCE)
        self._device.push(self._scratch / SOURCE, SOURCE)
        lines: list[str] = []
        finished = self._run(f"{_PACKAGE}.installed", (), PATIENCE, lines.append)
        mend = "name a Python of 3.10 or later with TensorRT as `python` in devices.toml, or none: trtexec serves then"
        if finished.code or not lines:
            said = (finished.errors.strip().splitlines() or [f"exit code {finished.code}"])[-1]
            raise DeviceError(self._device.name, f"{self._python} there does not run edgevision ({said})", mend)
        found = json.loads(lines[-1])
        if found["version"] is None:
            reason = f"Python {found['python']} at {self._python} lacks what an engine needs: {found['lacks']}"
            raise DeviceError(self._device.name, reason, mend)
        self._flavor = found["flavor"]
        return f"{found['version']} ({self._flavor})"

    def prepare(self, graph: Path) -> None:
        """The parser's graph with plugin nodes."""
        from edgevision.targets.tensorrt.flavor import FLAVORS

        flavor = FLAVORS[self._flavor]
        self._prepared = write_parser_graph(self._bundle, self._manifest, graph, flavor, use_plugins=True)

    def build(self, graph: Path) -> None:
        """Compile the kernels here, send them with the graph, and build there."""
        from edgevision.cache import default_cache
        from edgevision.targets.tensorrt.build import TIMEOUT
        from edgevision.targets.tensorrt.kernels import Kernels

        assert self._prepared is not None  # `prepare` comes first
        images: Mapping[str, Path] = {}
        if self._prepared.nodes:
            kernels = Kernels(package="edgevision.plugins.triton", cache=default_cache(), timeout=TIMEOUT)
            kernels.prove(self._prepared.nodes, self._scratch, None)
            images = kernels.images(self._prepared.nodes, self._scratch, None)
        for file in (graph, *images.values()):
            self._device.push(file, file.name)
        self._work("build_engine", self._request(images), LONGEST_BUILD, lambda _event: None)

    def _request(self, images: Mapping[str, Path]) -> dict[str, Any]:
        """What `build_engine` is asked; every file lies in the work folder. An open batch is the sample's."""
        assert self._prepared is not None
        shapes = {value.name: value.shape for value in self._prepared.model.graph.inputs}
        given = {str(one["name"]): one["shape"] for one in self._manifest.inputs}
        still_open = [
            name for name, dims in shapes.items() if name in given and not all(isinstance(d, int) for d in dims or ())
        ]
        return {
            "flavor": self._flavor,
            "graph": GRAPH,
            "engine": ENGINE,
            "record": RECORD,
            "images": {key: file.name for key, file in images.items()},
            "plugins": self._prepared.counts,
            "plugin_inputs": self._prepared.plugin_inputs,
            "precision": self._manifest.target.get("precision"),
            "profile": {name: [given[name]] * 3 for name in still_open},
            "compute_capabilities": [],
            "default_capabilities": ["the GPU it was built on"],
        }

    def time(self, samples: Samples, options: ProfileOptions) -> Timed:
        """Every run streams back."""
        feed = samples.feeds[0]
        write_tensors(self._scratch / FEEDS, feed)
        self._device.push(self._scratch / FEEDS, FEEDS)
        told, recording = Told(), Recording()
        with_copies: list[float] = []

        def on_event(event: Mapping[str, Any]) -> None:
            told.event(event)
            if event["event"] == "run":
                recording.ran()
                with_copies.append(event["with_copies_ns"] / 1e6)

        request: dict[str, Any] = {"engine": ENGINE, "feeds": FEEDS, "outputs": OUTPUTS, "inputs": list(feed)}
        request |= {"runs": options.runs, "seconds": options.seconds}
        try:
            with self._device.beside(sampling_script(LONGEST_RUN), recording.line):
                names = self._work("time_engine", request, LONGEST_RUN, on_event)["outputs"]
        except DeviceError as ended:
            if not told.samples:
                raise
            raise HalfTimedError(ended, told) from ended
        self._device.pull(OUTPUTS, self._scratch / OUTPUTS)
        arrays = read_tensors(self._scratch / OUTPUTS)
        return Timed(
            compute=told.samples,
            with_copies=with_copies,
            outputs=dict(zip(names, arrays, strict=True)),
            recording=recording,
            cold=(told.loaded or {})["first_ns"] / 1e6,
            peak=(told.end or {})["peak_kb"] / 1024,
        )

    def _work(
        self, module: str, request: Mapping[str, Any], seconds: float, on_event: Callable[[Mapping[str, Any]], None]
    ) -> dict[str, Any]:
        """Run one of the workers of targets/tensorrt there; its result. See `edgevision.targets.tensorrt.worker`."""
        (self._scratch / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        self._device.push(self._scratch / REQUEST, REQUEST)
        heard: dict[str, Any] = {"step": "start"}

        def on_line(line: str) -> None:
            event = json.loads(line)
            if event["event"] == "step":
                heard["step"] = event["name"]
            elif event["event"] in ("result", "error"):
                heard[event["event"]] = event
            else:
                on_event(event)

        finished = self._run(f"{_PACKAGE}.{module}", (REQUEST,), seconds, on_line)
        if finished.code == 0 and "result" in heard:
            result: dict[str, Any] = heard["result"]["value"]
            return result
        raise self._failed(module, heard, finished)

    def _failed(self, module: str, heard: Mapping[str, Any], finished: Finished) -> DeviceError:
        from edgevision.targets.tensorrt.build_log import failure_reason

        step = f"{module}, step `{heard['step']}`"
        if "error" in heard:
            error = heard["error"]
            return DeviceError(self._device.name, f"{step}: {error['thing']}: {error['reason']}", error["mend"])
        how = f"signal {finished.signal}" if finished.signal else f"exit code {finished.code}"
        said = failure_reason(finished.errors) or (finished.errors.strip().splitlines() or [""])[-1]
        return DeviceError(self._device.name, f"{step} ended there with {how} ({said})", "see docs/tensorrt.md")

    def _run(self, module: str, words: tuple[str, ...], seconds: float, on_line: Callable[[str], None]) -> Finished:
        """The archive is all that is imported of ours; Python writes nothing beside it."""
        command = ["env", f"PYTHONPATH={SOURCE}", "PYTHONDONTWRITEBYTECODE=1", self._python, "-m", module, *words]
        return self._device.run(command, seconds=seconds, on_line=on_line)
