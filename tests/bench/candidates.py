"""The candidates for one network, each ready to run: ours, and the peers from public packages.

All run in float32 on the same number of threads and hold the same weights; each is checked against eager PyTorch before
it is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from compiled import compiled as compiled_form
from compiled import trials
from networks import Prepared, eager_model
from numpy.typing import NDArray
from plain import plain_model
from turns import Entrants

from edgevision.bundle import open_bundle
from edgevision.proof import difference
from edgevision.targets.onnxruntime import OnnxRuntime

__all__ = ["network_entrants", "scaling_candidates"]

Array = NDArray[np.float32]
Run = Callable[[], Array]
_TOLERANCE = 1e-4


def network_entrants(model: Prepared, threads: int, *, compiled: bool) -> Entrants:
    """Ours first. `compiled`: whether torch.compile takes part, in each form that has been tried before."""
    x = np.random.default_rng(0).standard_normal(model.shape, np.float32)
    missing: dict[str, str] = {}
    notes: list[str] = []
    eager = _eager(model.name, x)
    found: dict[str, Run] = {
        "edgevision, kernels" if model.bodies else "edgevision": _bundle(model.kernels, x, threads),
    }
    if model.bodies:
        found["edgevision, bodies alone"] = _bundle(model.bodies, x, threads, plugins=False)
    found["eager PyTorch"] = eager
    for form, tried in trials(model.name, threads).items() if compiled else ():
        title = f"torch.compile, {form}"
        if tried["why"]:
            missing[title] = str(tried["why"])
        else:
            found[title] = _compiled(model.name, form, x)
            notes.append(f"{title}: compiled in {tried['seconds']:.0f} s")
    found["plain export, ONNX Runtime"] = _onnxruntime(model.plain, x, threads)
    if find_spec("openvino") is None:
        missing["plain export, OpenVINO"] = "the package openvino is not installed"
    else:
        found["plain export, OpenVINO"] = _openvino(model.plain, x, threads)
    wanted = eager()
    for name, run in found.items():
        error = difference(wanted, run()).max_abs_over_std
        if not error <= _TOLERANCE:
            raise RuntimeError(f"{name} computes something else: {error:.1e} of std from eager PyTorch")
    return Entrants(runs=found, missing=missing, notes=notes)


def scaling_candidates(model: Prepared, threads: int) -> dict[str, Run]:
    """Our bundle on one thread and on `threads`."""
    x = np.random.default_rng(0).standard_normal(model.shape, np.float32)
    return {f"{count} thread(s)": _bundle(model.kernels, x, count) for count in (threads, 1)}


def _bundle(path: Path, x: Array, threads: int, *, plugins: bool = True) -> Run:
    artifact = open_bundle(path).artifact["path"]
    runner = OnnxRuntime(threads=threads, plugins=plugins).load(path / artifact)
    return lambda: np.asarray(runner(x)[0])


def _eager(name: str, x: Array) -> Run:
    model, image = plain_model(eager_model(name)), torch.from_numpy(x)

    def run() -> Array:
        with torch.inference_mode():
            result: Array = model(image).numpy()
        return result

    return run


def _compiled(name: str, form: str, x: Array) -> Run:
    model, image = compiled_form(name, form), torch.from_numpy(x)

    def run() -> Array:
        with torch.no_grad():
            result: Array = model(image).numpy()
        return result

    return run


def _onnxruntime(path: Path, x: Array, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")  # no idle session may burn another's core
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: np.asarray(session.run(None, feed)[0])


def _openvino(path: Path, x: Array, threads: int) -> Run:
    import openvino

    # On a CPU with the instructions OpenVINO computes in bfloat16 unless told otherwise.
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda: np.asarray(request.infer([x])[0])
