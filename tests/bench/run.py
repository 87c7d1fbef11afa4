"""`make bench`: speed against named peers, candidates in turn, with the machine's load on record.

    python tests/bench/run.py [--quick] [--models NAME ...] [--threads N ...]

Writes build/bench/bench.json and build/bench/bench.md, and prints the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # a bare checkout imports uninstalled

from compile_trial import CACHE, try_to_compile  # noqa: E402 - the path comes first
from machine import cpu  # noqa: E402
from prepare import FOLDER, Prepared, prepare  # noqa: E402
from scans import SHAPES  # noqa: E402
from table import markdown  # noqa: E402
from worker import Task  # noqa: E402

MODELS = ("mobilemamba_t2", "mobilemamba_s6", "mobilemamba_b1")
PACKAGES = ("torch", "onnxruntime", "openvino", "onnx", "numpy")
#: Longest that torch.compile may take for a network before it is left out.
COMPILE_SECONDS = 150.0


def main() -> None:
    """Prepare, measure at each number of threads in a process of its own, write."""
    options = _options()
    models = []
    for name in options.models:
        _say(f"preparing {name}")
        models.append(prepare(name))
    missing = {} if options.quick else {m.name: _compile(m.name) for m in models[:1]}
    compiled = [name for name, why in missing.items() if why is None]
    runs = [_measure(models, threads, compiled, quick=options.quick) for threads in options.threads]
    for run in runs:
        for model in models:
            why = missing.get(model.name, "left out, its compilation takes minutes")
            if why is not None:
                run["models"][model.name]["missing"]["torch.compile"] = why
    results = {"cpu": cpu(), "versions": _versions(), "runs": runs, "facts": _facts(models, runs)}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "bench.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    page = markdown(results)
    (FOLDER / "bench.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one network, short turns, no torch.compile")
    parser.add_argument("--models", nargs="+", metavar="NAME", help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    options = parser.parse_args()
    options.models = options.models or (MODELS[:1] if options.quick else MODELS)
    return options


def _compile(name: str) -> str | None:
    _say(f"torch.compile of {name}, at most {COMPILE_SECONDS:.0f} s")
    return try_to_compile(name, COMPILE_SECONDS)


def _measure(models: Sequence[Prepared], threads: int, compiled: Sequence[str], *, quick: bool) -> dict[str, Any]:
    """In a process of its own: thread pools are made once for each."""
    _say(f"measuring at {threads} thread{'s' if threads > 1 else ''}")
    first = threads == 1
    task = Task(
        models=list(models),
        threads=threads,
        seconds=8.0 if quick else 20.0,
        scans=list(SHAPES) if first else [],
        with_facts=first,
        compiled=list(compiled),
    )
    source, destination = FOLDER / f"task-{threads}.json", FOLDER / f"result-{threads}.json"
    source.write_text(task.to_json(), encoding="utf-8")
    environment = {**os.environ, **CACHE, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HERE.parents[1])}
    subprocess.run(
        [sys.executable, str(HERE / "worker.py"), str(source), str(destination)], env=environment, check=True
    )
    result: dict[str, Any] = json.loads(destination.read_text("utf-8"))
    return result


def _facts(models: Sequence[Prepared], runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The single numbers, as sentences."""
    lines = []
    for run in (run for run in runs if "facts" in run):
        found, model = run["facts"], models[0]
        peak = found["gemm_gflops"]
        lines.append(f"float32 GEMM on one core: {peak:.0f} GFLOP/s")
        if model.macs:
            least = run["models"][model.name]["rows"][0]["least"]
            done = 2 * model.macs / (least / 1e3) / 1e9
            lines.append(f"{model.name}: {done:.0f} GFLOP/s at best, {done / peak:.0%} of that peak")
        lines.append(f"{model.name}: the scan and the wavelets are {found['scan_and_wavelet_share']:.1%} of its time")
        lines.append(f"{model.name}: a session opens in {found['session_seconds']:.2f} s")
        if found["library_bytes"]:
            lines.append(f"the kernel library has {found['library_bytes'] / 2**20:.2f} MiB")
    by_threads = {run["threads"]: run["models"] for run in runs}
    if {1, 2} <= set(by_threads):
        for model in models:
            one, two = (by_threads[n][model.name]["rows"][0]["median"] for n in (1, 2))
            lines.append(f"{model.name}: two threads are {one / two:.2f} times as fast as one")
    lines += [f"{m.name}: the plain export took {m.export_seconds:.0f} s" for m in models if m.export_seconds]
    return lines


def _versions() -> str:
    known = []
    for package in PACKAGES:
        try:
            known.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            known.append(f"{package} not installed")
    return ", ".join(known)


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")


if __name__ == "__main__":
    main()
