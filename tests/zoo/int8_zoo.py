"""The smallest network of every family in INT8 on ONNX Runtime: what came out, and its speed beside the float bundle's.

    python tests/zoo/int8_zoo.py [NAME …]

Both bundles are exported as anybody would, calibrated on crops of photographs, and their artifacts then raced anew: one
thread, in turn, in the thread's processor time. A bundle that came out float is the float bundle.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from workspace import ROOT
from zoo_figures import smallest

from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.quantize.judge import race
from edgevision.quantize.restoration import normalisation
from edgevision.registry import Variant, find_variant
from edgevision.stages.quantize import QuantizeOptions
from edgevision.targets.onnxruntime import OnnxRuntime

CROPS = 24
FOLDER = ROOT / "build" / "bench" / "int8_zoo"


def main() -> None:
    """Measure, print a row each, and keep it."""
    names = sys.argv[1:]
    for variant in [find_variant(name) for name in names] or sorted(smallest(), key=lambda v: v.params):
        found = measured(variant)
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{variant.name}.json").write_text(json.dumps(found, indent=1))
        share = "" if found["mac_share"] is None else f"{found['mac_share']:.0%}"
        came = "INT8" if found["gained"] else "float"
        noise = "" if found["snr_db"] is None else f"{found['snr_db']:.1f}"
        sys.stdout.write(
            f"| `{variant.name}` | {came} | {found['exported']:.2f} | {found['raced']:.2f} | {share} | {noise} |\n"
        )
        sys.stdout.flush()


def measured(variant: Variant) -> dict[str, Any]:
    """Both bundles of one network, and the race between them."""
    shape = (3, *variant.input_size)
    options = {"model": variant.name, "target": "ort"}
    plain = export_bundle(ExportOptions(**options, out=FOLDER / f"{variant.name}-float"))
    how = plain.manifest.model.preprocess
    quantize = QuantizeOptions(data=lambda: crops(shape, how), images=CROPS)
    small = export_bundle(
        ExportOptions(**options, precision="int8", quantize=quantize, out=FOLDER / f"{variant.name}-int8")
    )
    facts = small.manifest.quantization
    assert facts is not None
    target, feed = OnnxRuntime(threads=1), np.stack([next(crops(shape, how))])
    paths = [done.path / done.manifest.artifact["path"] for done in (plain, small)]
    with target.load(paths[0]) as first, target.load(paths[1]) as second:
        again = race(first, second, feed, clock=time.thread_time)
    return {
        "gained": facts["gained"],
        "exported": facts["speed"]["ratio"],
        "raced": again.ratio,
        "interval": again.interval,
        "mac_share": facts["mac_share"],
        "snr_db": facts["fidelity"]["snr_db"],
    }


def crops(shape: tuple[int, ...], how: Any) -> Iterator[NDArray[np.float32]]:
    """Normalised pieces of two photographs."""
    mean, std = normalisation(how)
    rng = np.random.default_rng(0)
    pictures = [load_sample_image(name).transpose(2, 0, 1) / np.float32(255) for name in ("china.jpg", "flower.jpg")]
    for index in range(CROPS):
        picture = pictures[index % 2]
        y, x = (rng.integers(0, whole - part + 1) for whole, part in zip(picture.shape[1:], shape[1:], strict=True))
        yield ((picture[:, y : y + shape[1], x : x + shape[2]] - mean) / std).astype(np.float32)


if __name__ == "__main__":
    main()
