"""Before and after merging: the training form as it was captured, the deploy form we made of it, on the same kernels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
from networks import FOLDER
from turns import Entrants

from edgevision.cache import stage_key
from edgevision.stages.samples import Samples, compare_runner
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["FORMS", "MODELS", "merging_entrants", "prepare_merging"]

#: timm's networks with branches, and the smallest of each family of the zoo that has anything to merge.
MODELS = (
    "timm:mobileone_s0",
    "timm:repvgg_a0",
    "timm:repvit_m1",
    "timm:fastvit_t8",
    "timm:repghostnet_080",
    "mobilemamba_t2",
    "msvmamba_nano",
    "msvmamba_v3_tiny",
    "unireplknet_a",
    "van_b0",
    "cfsr_x2",
    "eca_resnet18",
    "eca_mobilenetv2",
    "inceptionnext_atto",
    "inception_v4",
    "inception_resnet_v2",
)
#: The first is what the others are compared with.
FORMS = ("merged", "training form", "merged, shaped for ONNX Runtime")
_TOLERANCE = 1e-4


def prepare_merging(name: str) -> Path:
    """The folder with one file a form, each held against the module; made when it is missing or out of date."""
    folder = FOLDER / "merging" / name.replace(":", "-")
    record, key = folder / "prepared.txt", stage_key("bench", {"merging": name})
    if record.exists() and record.read_text("utf-8") == key:
        return folder
    import onnx_ir as ir

    from edgevision.spec import Batch, OnnxFile, parse_model
    from edgevision.stages.capture import CaptureOptions, capture
    from edgevision.stages.graph import merge
    from edgevision.stages.load import LoadOptions, load
    from edgevision.stages.samples import samples_of_module
    from edgevision.targets.onnxruntime.lowering import lower

    spec = parse_model(name)
    assert not isinstance(spec, OnnxFile)
    loaded, _ = load(spec, LoadOptions())
    samples = samples_of_module(loaded, [1], 0)
    model, capturing = capture(loaded, CaptureOptions(batch=Batch()), samples)
    folder.mkdir(parents=True, exist_ok=True)
    ir.save(model, folder / f"{FORMS[1]}.onnx")
    merged = merge(model, samples, [capturing]).model
    ir.save(merged, folder / f"{FORMS[0]}.onnx")
    lower(merged, kernels=True)
    ir.save(merged, folder / f"{FORMS[2]}.onnx")
    for form in FORMS:
        _prove(folder / f"{form}.onnx", samples)
    record.write_text(key, encoding="utf-8")
    return folder


def _prove(path: Path, samples: Samples) -> None:
    with OnnxRuntime(threads=1).load(path) as runner:
        error = compare_runner(runner, samples).max_abs_over_std
    if not error <= _TOLERANCE:
        raise RuntimeError(f"{path.stem} computes something else: {error:.1e} of std, {_TOLERANCE:.0e} allowed")


def merging_entrants(folder: Path, threads: int) -> Entrants:
    """The forms, on one random image."""
    runners = {form: OnnxRuntime(threads=threads).load(folder / f"{form}.onnx") for form in FORMS}
    shape = [dim or 1 for dim in runners[FORMS[0]].inputs[0].shape]
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    after, before = (len(onnx.load(folder / f"{form}.onnx").graph.node) for form in FORMS[:2])
    return Entrants(
        runs={form: partial(runner, x) for form, runner in runners.items()},
        notes=[f"{before} nodes before merging, {after} after"],
    )
