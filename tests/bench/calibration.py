"""Calibrating on 200 to 10,000 images: memory must stay where it is, and time follow the number. `make bench`.

Each number of images is examined and calibrated in a process of its own, whose peak memory is that of the whole: model,
runtime and histograms.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAME, COUNTS = "mobilemamba_digits", (200, 2_000, 10_000)


def main() -> None:
    """Measure each count, print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        _export(path)
        results = [_measured(path, count) for count in COUNTS]
    lines = [
        f"## Calibrating {NAME}",
        "",
        "| images | peak memory, MiB | processor, s | ms an image |",
        "|---|---|---|---|",
    ]
    for found in results:
        each = 1e3 * found["seconds"] / found["images"]
        lines.append(f"| {found['images']:,} | {found['peak_mib']:.0f} | {found['seconds']:.1f} | {each:.2f} |")
    sys.stdout.write("\n".join([*lines, ""]))


def _measured(path: Path, count: int) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, str(path), str(count)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _export(path: Path) -> None:
    import onnx_ir as ir

    from edgevision.cache import default_cache
    from edgevision.spec import ZooModel
    from edgevision.stages.capture import CaptureOptions
    from edgevision.stages.graph import deploy_graph
    from edgevision.stages.load import LoadOptions, load
    from edgevision.stages.samples import samples_of_module
    from edgevision.stages.timing import unreported

    loaded, _ = load(ZooModel(NAME), LoadOptions())
    graph = deploy_graph(loaded, CaptureOptions(), samples_of_module(loaded, [1], 0), default_cache(), unreported)
    ir.save(graph.model, path)


def _images(count: int, shape: tuple[int, int, int]) -> Iterator[NDArray[np.float32]]:
    """Smooth random pictures, each made when it is asked for."""
    channels, height, width = shape
    rng = np.random.default_rng(0)
    for _ in range(count):
        coarse = rng.standard_normal((channels, height // 8, width // 8)).astype(np.float32).clip(-2, 2)
        yield coarse.repeat(8, axis=1).repeat(8, axis=2)


def calibrate(path: Path, count: int) -> dict[str, Any]:
    """Examine and calibrate on `count` images, in this process."""
    import onnx_ir as ir

    from edgevision.cache import Cache
    from edgevision.calibration.arrays import Items
    from edgevision.calibration.examine import examine
    from edgevision.quantize import calibrate as stage
    from edgevision.quantize.choose import default_scheme
    from edgevision.quantize.plan import make_plan
    from edgevision.quantize.scheme import find_scheme

    model = ir.load(path)
    shape = tuple(int(d) for d in list(model.graph.inputs[0].shape)[1:])
    source = Items(lambda: _images(count, shape), shape)
    begun = time.process_time()
    tensors = [str(v.name) for v in make_plan(model, find_scheme(default_scheme("ort"), "ort")).tensors]
    data = stage.CalibrationSet(source=source, examined=examine(source, None), method="percentile", limit=None)
    stage.calibrate(model, tensors, data, symmetric=False, cache=Cache(root=None), report=lambda _: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images": count, "peak_mib": peak, "seconds": time.process_time() - begun}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(calibrate(Path(sys.argv[1]), int(sys.argv[2]))) + "\n")
    else:
        main()
