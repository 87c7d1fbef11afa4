"""torch.compile as a peer: the forms of a network that it is given, each compiled once in a process of its own.

An unrolled scan is a graph of thousands of nodes, whose compilation may take minutes and may be given up. So the
network also comes with the scan in log2(L) steps, and with the scan as one opaque operator that runs eagerly.
`python compiled.py NAME THREADS FORM` is the process; what it compiled stays in inductor's cache.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from networks import FOLDER, eager_model
from plain import PlainScan, plain_model, sequential_scan
from torch import Tensor, nn

from edgevision.registry import find_variant

__all__ = ["CACHE", "FORMS", "PLAIN", "compiled", "trials", "try_to_compile"]

CACHE = {"TORCHINDUCTOR_CACHE_DIR": str(FOLDER / "inductor")}
_Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def doubling_scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """`sequential_scan` in log2(L) steps (Hillis and Steele): each adds the state of twice as many positions."""
    rows, length, groups = u.shape[1], u.shape[2], B.shape[1]
    B, C = (t.repeat_interleave(rows // groups, 1) for t in (B, C))
    decay = torch.exp(dt.unsqueeze(2) * A.unsqueeze(2))
    state = (dt * u).unsqueeze(2) * B
    step = 1
    while step < length:
        state = state + decay * F.pad(state[..., :-step], (step, 0))
        decay = decay * F.pad(decay[..., :-step], (step, 0), value=1.0)
        step *= 2
    return (state * C).sum(2) + u * D.unsqueeze(1)


@torch.library.custom_op("bench::sequential_scan", mutates_args=())
def opaque_scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """`sequential_scan` as a leaf of the graph."""
    return sequential_scan(u, dt, A, B, C, D)


@opaque_scan.register_fake
def _(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    return torch.empty_like(u)


#: What stands in the compiled network for the scan; the first was the fastest, by a little.
FORMS: Mapping[str, _Scan] = {
    "scan in log2 L steps": doubling_scan,
    "scan left eager": opaque_scan,
    "scan unrolled": sequential_scan,
}
#: The form of a network without a scan.
PLAIN = "as it is"


def compiled(name: str, form: str) -> nn.Module:
    """The network in deploy form, compiled for inference: weights are constants, and laid out for oneDNN."""
    model = plain_model(eager_model(name))
    for module in model.modules():
        if isinstance(module, PlainScan):
            module.recurrence = FORMS[form]
    result: nn.Module = torch.compile(model, dynamic=False, options={"freezing": True})
    return result


def try_to_compile(name: str, threads: int, form: str, seconds: float) -> str | None:
    """Compile one form, and keep how that went. None when it went well, else why not."""
    command = [sys.executable, str(Path(__file__)), name, str(threads), form]
    start = time.perf_counter()
    with subprocess.Popen(
        command, env={**os.environ, **CACHE}, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            said, why = process.communicate(timeout=seconds)[1], None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # inductor has workers and compilers of its own
            said, why = process.communicate()[1], f"its compilation was given up after {seconds:.0f} s"
    if why is None and process.returncode:
        lines = [line for line in said.splitlines() if line.strip()]
        why = f"its compilation failed: {lines[-1] if lines else 'no message'}"
    tried = {"seconds": time.perf_counter() - start, "why": why, "torch": torch.__version__}
    known = {**trials(name, threads), form: tried}
    _record(name, threads).write_text(json.dumps(known, indent=1), encoding="utf-8")
    return why


def trials(name: str, threads: int) -> dict[str, dict[str, float | str | None]]:
    """Form -> `seconds` that its compilation by this torch took, and `why` it did not get through, if so."""
    path = _record(name, threads)
    known: dict[str, dict[str, float | str | None]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {form: tried for form, tried in known.items() if tried["torch"] == torch.__version__}


def _record(name: str, threads: int) -> Path:
    return FOLDER / name / f"compiled-{threads}.json"


def _compile(name: str, threads: int, form: str) -> None:
    torch.set_num_threads(threads)  # inductor writes the number into its loops
    with torch.no_grad():
        compiled(name, form)(torch.zeros(find_variant(name).input_shape))


if __name__ == "__main__":
    _compile(sys.argv[1], int(sys.argv[2]), sys.argv[3])
