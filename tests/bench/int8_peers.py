"""Our INT8 against `onnxruntime.quantization.quantize_static` and NNCF's ONNX path: same graph, same images, same run.

    python tests/bench/int8_peers.py MODEL [--weights FILE] [--data NPZ|digits] [--images N] [--seconds S]

All get the portable float graph that edgevision exports (deploy form, custom operators with their bodies; NNCF, which
knows no functions, gets the bodies in the operators' place), calibrate on the same images, and run in turn on one thread with our kernels at hand; times are the thread's processor time, over
that of the float bundle in the same round. Noise is that of the outputs on other images than the calibration's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from edgevision.cache import default_cache
from edgevision.calibration.examine import examine
from edgevision.calibration.open_data import open_data
from edgevision.calibration.source import Source
from edgevision.passes.inline_bodies import inline_bodies
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.quantize.builder import calibrated_builder
from edgevision.quantize.calibrate import CalibrationSet
from edgevision.quantize.choose import default_scheme
from edgevision.quantize.coverage import coverage
from edgevision.quantize.judge import fidelity
from edgevision.quantize.noise import Noise
from edgevision.quantize.quantize import quantize
from edgevision.quantize.quiet import answers_with_image, quieted
from edgevision.quantize.recovery import Recovery
from edgevision.quantize.scheme import find_scheme
from edgevision.quantize.target_form import int8_form, target_form
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.targets.onnxruntime.lowering import lower_integers

Array = NDArray[Any]
FOLDER = Path(__file__).parents[2] / "build" / "bench" / "int8"


def main() -> None:
    """Make every form of one model, race them, and write a table."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="edgevision-") as name:
        folder = Path(name)
        done = export_bundle(
            ExportOptions(model=options.model, target="ort", weights=options.weights, out=folder / "float")
        )
        model = ir.load(folder / "float" / "model.onnx")
        shape = done.manifest.inputs[0]["shape"]
        source = open_data(options.data, tuple(shape[1:]), done.manifest.model.preprocess)
        images = [sample.image[None] for _, sample in zip(range(2 * options.images), source, strict=False)]
        calibration, held_out = images[: options.images], images[options.images :]
        forms: dict[str, Path] = {"float": folder / "float" / done.manifest.artifact["path"]}
        missing: dict[str, str] = {}
        notes = _ours(model, source, done.manifest.model.preprocess, options.images, folder, forms)
        for title, make in _peers(folder / "float" / "model.onnx", calibration, folder).items():
            try:
                forms[title] = make()
            except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result, and is printed
                missing[title] = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"
        rows = _measured(forms, held_out, options.seconds)
    FOLDER.mkdir(parents=True, exist_ok=True)
    result = {"model": options.model, "images": options.images, "rows": rows, "missing": missing, "notes": notes}
    (FOLDER / f"{options.model.replace(':', '_')}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    sys.stdout.write(_markdown(result) + "\n")


def _ours(model: ir.Model, source: Source, how: Any, count: int, folder: Path, forms: dict[str, Path]) -> list[str]:
    scheme = find_scheme(default_scheme("ort"), "ort")
    data = CalibrationSet(source=source, examined=examine(source, how, count), method=None, limit=count)
    found = quantize(model, scheme, data, cache=default_cache(), report=lambda _: None)
    if found.gained:
        forms["edgevision"] = _saved(_lowered(found.model), folder / "ours.onnx")
        assert found.coverage is not None
        return [f"{found.coverage.share:.1%} of multiplications in INT8; left in float: {found.excluded or 'nothing'}"]
    forms["edgevision (INT8 does not gain: float)"] = forms["float"]
    float_form = target_form(model, "ort", plugins=True)
    shaped = int8_form(float_form, "ort")
    builder = calibrated_builder(
        shaped,
        scheme,
        data,
        exclude=(),
        recovery=Recovery(),
        cache=default_cache(),
        report=lambda _: None,
        kernels=True,
    )
    whole = builder.build(found.excluded)
    if answers_with_image(shaped):
        with Noise(builder.model, data) as noise:
            whole = quieted(builder, whole, noise)
    forms["edgevision, INT8 all the same"] = _saved(whole.lowered, folder / "forced.onnx")
    return [f"{coverage(float_form, whole.lowered, model).share:.1%} of multiplications in INT8 all the same"]


def _lowered(model: ir.Model) -> ir.Model:
    """A Q/DQ graph as the target's build shapes it."""
    copy = model.clone()
    lower_integers(copy)
    return copy


def _peers(path: Path, calibration: list[Array], folder: Path) -> dict[str, Callable[[], Path]]:
    return {
        "quantize_static, defaults": lambda: _static(path, calibration, folder / "static.onnx"),
        "quantize_static, best": lambda: _static_best(path, calibration, folder),
        "NNCF": lambda: _nncf(path, calibration, folder / "nncf.onnx"),
    }


class _Reader:
    """What `quantize_static` takes its inputs from."""

    def __init__(self, name: str, images: list[Array]) -> None:
        self._feeds: Iterator[dict[str, Array]] = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._feeds, None)


def _static(path: Path, calibration: list[Array], out: Path, **how: Any) -> Path:
    from onnxruntime.quantization import quantize_static

    quantize_static(str(path), str(out), _Reader(_input(path), calibration), **how)
    return out


def _static_best(path: Path, calibration: list[Array], folder: Path) -> Path:
    """As its documentation advises for x86: preprocessed, u8 activations, s8 weights per channel."""
    from onnxruntime.quantization import QuantFormat, QuantType
    from onnxruntime.quantization.shape_inference import quant_pre_process

    cleaned = folder / "cleaned.onnx"
    quant_pre_process(str(path), str(cleaned), skip_symbolic_shape=True)
    return _static(
        cleaned,
        calibration,
        folder / "best.onnx",
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
    )


def _nncf(path: Path, calibration: list[Array], out: Path) -> Path:
    if find_spec("nncf") is None:
        raise ModuleNotFoundError("nncf is not installed")
    import nncf

    name, model = _input(path), ir.load(path)
    inline_bodies(model)
    data = nncf.Dataset(calibration, lambda image: {name: image})
    quantized = nncf.quantize(ir.to_proto(model), data, subset_size=len(calibration))
    onnx.save(quantized, out)
    return out


def _input(path: Path) -> str:
    return str(ir.load(path).graph.inputs[0].name)


def _saved(model: ir.Model, path: Path) -> Path:
    ir.save(model, path)
    return path


def _measured(forms: dict[str, Path], feeds: list[Array], seconds: float) -> list[dict[str, Any]]:
    """Noise against the float bundle, and processor time in turn."""
    runners = {title: OnnxRuntime(threads=1).load(path) for title, path in forms.items()}
    noise = {title: fidelity(runners["float"], runner, feeds) for title, runner in runners.items()}
    times: dict[str, list[float]] = {title: [] for title in runners}
    end = time.perf_counter() + seconds * len(runners)
    order = np.random.default_rng(0)
    while time.perf_counter() < end or len(times["float"]) < 7:
        for title in order.permutation(list(runners)):  # whoever follows a slow one finds the caches emptied
            runner = runners[title]
            runner(feeds[0])
            start = time.thread_time()
            runner(feeds[0])
            times[title].append((time.thread_time() - start) * 1e3)
    rows = []
    for title, taken in times.items():
        ratios = [a / b for a, b in zip(times["float"], taken, strict=True)]
        found = noise[title]
        rows.append(
            {
                "form": title,
                "ms": round(statistics.median(taken), 2),
                "speed": round(statistics.median(ratios), 2),
                "snr_db": None if np.isinf(found.snr_db) else round(found.snr_db, 1),
                "agreement": found.agreement,
                "mib": round(forms[title].stat().st_size / 2**20, 2),
            }
        )
    return rows


def _markdown(result: dict[str, Any]) -> str:
    lines = [
        f"| {result['model']} | ms | times float's speed | SNR, dB | same top-1 | MiB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in result["rows"]:
        noise = "" if row["snr_db"] is None else row["snr_db"]
        same = "" if row["agreement"] is None else f"{row['agreement']:.0%}"
        lines.append(f"| {row['form']} | {row['ms']} | {row['speed']:.2f} | {noise} | {same} | {row['mib']} |")
    lines += [f"| {title} | not run: {why} | | | | |" for title, why in result["missing"].items()]
    return "\n".join([*lines, "", *result["notes"]])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
