"""What each recovery technique wins back on photographs: logits' signal to noise, or the PSNR of enlarged pictures.

    python tests/bench/recovery.py MODEL [--weights FILE] [--targets ort trt] [--techniques none equalize …]

Tiles of five photographs that come with scikit-image and scikit-learn; INT8 is calibrated on some and judged on others,
shifted against them, with everything in 8 bits that the scheme takes. Digits' networks are in `digits_int8.py`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from digits_int8 import TECHNIQUES, answers, quantized
from numpy.typing import NDArray

from edgevision.cache import default_cache
from edgevision.calibration.arrays import Arrays
from edgevision.images import preprocess
from edgevision.quantize.restoration import bicubic_down, luma, psnr, scale_between
from edgevision.spec import Batch, ZooModel
from edgevision.stages.capture import CaptureOptions
from edgevision.stages.graph import deploy_graph
from edgevision.stages.load import Loaded, LoadOptions, load
from edgevision.stages.samples import samples_of_module
from edgevision.stages.timing import unreported

Array = NDArray[Any]
#: Tiles of each photograph, for calibration and for judging.
EACH = 6
#: Pixels left out around a picture that is scored: as many as CFSR x4 enlarges.
BORDER = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--targets", nargs="*", default=["ort", "trt"])
    parser.add_argument("--techniques", nargs="*", default=list(TECHNIQUES))
    given = parser.parse_args()
    loaded, _ = load(ZooModel(given.model), LoadOptions(weights=given.weights))
    model = deploy_graph(
        loaded, CaptureOptions(batch=Batch()), samples_of_module(loaded, [1], 0), default_cache(), unreported
    ).model
    seen, unseen, truth = photographs(loaded, model)
    exact = answers(model, unseen, 1)
    sys.stdout.write(f"{given.model}: {len(unseen)} tiles, {said(exact, exact, truth)}\n")
    for target in given.targets:
        for name in given.techniques:
            form = quantized(model, target, Arrays("tiles", seen, None, seen.shape[1:], None), None, TECHNIQUES[name])
            sys.stdout.write(f"{target} {name}: {said(answers(form, unseen, 1), exact, truth)}\n")
            sys.stdout.flush()


def photographs(loaded: Loaded, model: ir.Model) -> tuple[Array, Array, list[Array]]:
    """Inputs to calibrate on, inputs to judge by, and the true pictures of these where the model enlarges."""
    taken, given = (tuple(values[0].shape) for values in (model.graph.inputs, model.graph.outputs))
    scale = scale_between(taken, given)
    side = taken[2] * (scale or 1)
    apart = [tiles(side, start) for start in (0.0, 0.5)]
    if scale is not None:
        truth = [np.asarray(tile.transpose(2, 0, 1), np.float32) / 255 for tile in apart[1]]
        small = [
            np.stack([bicubic_down(np.asarray(tile.transpose(2, 0, 1), np.float32) / 255, scale) for tile in part])
            for part in apart
        ]
        return small[0], small[1], truth
    how = loaded.info.preprocess or {}
    inputs = [np.stack([preprocess(tile, (side, side), how) for tile in part]) for part in apart]
    return inputs[0], inputs[1], []


def tiles(side: int, start: float) -> list[Array]:
    """`EACH` tiles [side, side, 3] from each photograph along its diagonal, beginning `start` tiles in."""
    from skimage import data
    from sklearn.datasets import load_sample_image

    stock = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    found = []
    for picture in (data.astronaut(), data.coffee(), data.chelsea(), *stock):
        for k in range(EACH):
            y, x = (int((length - side) * (k + start) / EACH) for length in picture.shape[:2])
            found.append(picture[y : y + side, x : x + side])
    return found


def said(got: Array, exact: Array, truth: list[Array]) -> str:
    """PSNR of luma where there are true pictures, and signal to noise against float."""
    noise = float(((got.astype(np.float64) - exact) ** 2).sum())
    ratio = f"{10 * np.log10((exact.astype(np.float64) ** 2).sum() / noise):.1f} dB" if noise else "float"
    if not truth:
        return ratio
    found = np.mean([psnr(luma(a, BORDER), luma(b, BORDER)) for a, b in zip(truth, got, strict=True)])
    return f"PSNR {found:.2f} dB, {ratio}"


if __name__ == "__main__":
    main()
