"""`make bench`: speed against named peers, candidates in turn, with the machine's load on record.

    python tests/bench/run.py [--quick] [--models NAME ...] [--threads N ...] [--tables KIND ...] [--prepare] [--resume]

Each table is measured in a process of its own and kept as one file in build/bench/results, so that a long bench may be
run in slices, each in a quiet minute; build/bench/bench.md and bench.json show every table that is there. A table that
cannot be measured does not keep the others from it; the exit status then is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # a bare checkout imports uninstalled

import merging  # noqa: E402 - the path comes first
from compiled import CACHE, FORMS, PLAIN, trials, try_to_compile  # noqa: E402
from machine import cpu  # noqa: E402
from networks import FOLDER, Prepared, prepare  # noqa: E402
from scans import SHAPES  # noqa: E402
from shift import SHAPES as LAYERS  # noqa: E402
from table import markdown  # noqa: E402
from worker import Kind, Task  # noqa: E402

from edgevision.cache import stage_key  # noqa: E402

RESULTS = FOLDER / "results"
MODELS = ("mobilemamba_t2", "mobilemamba_s6", "mobilemamba_b1", "unireplknet_a", "unireplknet_n")
PACKAGES = ("torch", "onnxruntime", "openvino", "onnx", "numpy")
#: Longest that torch.compile may take for one form of a network before it is given up.
COMPILE_SECONDS = 600.0


def main() -> None:
    """Prepare, measure each table in a process of its own, write."""
    options = _options()
    RESULTS.mkdir(parents=True, exist_ok=True)
    failed = [task.key for task in _tasks(options) if not options.prepare and not _measured(task, options.resume)]
    results = {"cpu": cpu(), "tables": [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))]}
    (FOLDER / "bench.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    page = markdown(results)
    (FOLDER / "bench.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)
    if failed:
        sys.exit(f"bench: not measured: {', '.join(failed)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one network, short turns, no torch.compile")
    parser.add_argument("--models", nargs="+", metavar="NAME", help=f"default: {' '.join(MODELS)}")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="N")
    parser.add_argument("--tables", nargs="+", choices=get_args(Kind), default=get_args(Kind), metavar="KIND")
    parser.add_argument("--seconds", type=float, help="of one table, about")
    parser.add_argument("--resume", action="store_true", help="leave the tables that this code has measured already")
    parser.add_argument("--prepare", action="store_true", help="make the files that are measured, and stop")
    options = parser.parse_args()
    options.seconds = options.seconds or (8.0 if options.quick else 20.0)
    return options


def _tasks(options: argparse.Namespace) -> Iterator[Task]:
    """In the order they are measured; each network's files are made when its first table is due."""
    most, seconds = max(options.threads), options.seconds
    names = options.models or (MODELS[:1] if options.quick else MODELS)
    about_networks = set(options.tables) & {"latency", "scaling", "facts"}
    for name in names if about_networks else ():
        _say(f"preparing {name}")
        model = prepare(name)
        if "latency" in options.tables:
            for threads in options.threads:
                if not options.quick:
                    _compile(model, threads)
                yield Task(
                    kind="latency",
                    subject=name,
                    threads=threads,
                    seconds=seconds,
                    model=model,
                    compiled=not options.quick,
                )
        if "scaling" in options.tables and most > 1:
            yield Task(kind="scaling", subject=name, threads=most, seconds=seconds / 2, model=model)
        if "facts" in options.tables:
            yield Task(kind="facts", subject=name, threads=1, seconds=seconds, model=model)
    if "scan" in options.tables:
        for shape in SHAPES:
            yield Task(kind="scan", subject="x".join(map(str, shape)), threads=1, seconds=seconds / 2)
    if "shift" in options.tables:
        for layer in LAYERS:
            folder = FOLDER / "shift"
            yield Task(kind="shift", subject="x".join(map(str, layer)), threads=1, seconds=seconds / 4, folder=folder)
    if "merging" in options.tables and not options.quick:
        for name in options.models or merging.MODELS:
            _say(f"preparing both forms of {name}")
            folder = merging.prepare_merging(name)
            yield Task(kind="merging", subject=name, threads=1, seconds=seconds / 2, folder=folder)


def _compile(model: Prepared, threads: int) -> None:
    """Try torch.compile on each form of the network that has not been tried; what it compiled is kept."""
    for form in _forms(model, threads):
        if form not in trials(model.name, threads):
            _say(f"torch.compile of {model.name}, {form}, {threads} thread(s): at most {COMPILE_SECONDS:.0f} s")
            _say(try_to_compile(model.name, threads, form, COMPILE_SECONDS) or "done")


def _forms(model: Prepared, threads: int) -> tuple[str, ...]:
    """Every form of the first network on one thread, its best on more; the best of the others on one: a form takes minutes."""
    if threads > 1 and model.name != MODELS[0]:
        return ()
    if not model.bodies:
        return (PLAIN,)
    return tuple(FORMS) if model.name == MODELS[0] and threads == 1 else tuple(FORMS)[:1]


def _measured(task: Task, resume: bool) -> bool:
    """In a process of its own: thread pools are made once for each. False when that process failed."""
    kept, key = RESULTS / f"{task.key}.json", stage_key("bench", json.loads(task.to_json()))
    if resume and kept.exists() and json.loads(kept.read_text("utf-8")).get("key") == key:
        return True
    _say(f"measuring {task.key}")
    source, destination = FOLDER / "task.json", FOLDER / "result.json"
    source.write_text(task.to_json(), encoding="utf-8")
    environment = {**os.environ, **CACHE, "OMP_NUM_THREADS": str(task.threads), "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        [sys.executable, str(HERE / "worker.py"), str(source), str(destination)], env=environment, check=False
    )
    if done.returncode:
        return False
    found: dict[str, Any] = json.loads(destination.read_text("utf-8"))
    about = {"kind": task.kind, "subject": task.subject, "threads": task.threads, "key": key}
    about |= {"when": datetime.now().astimezone().isoformat(timespec="minutes"), "versions": _versions()}
    about |= _counted(task.model)
    kept.write_text(json.dumps({**about, **found}), encoding="utf-8")
    return True


def _counted(model: Prepared | None) -> dict[str, Any]:
    return {} if model is None else {"macs": model.macs, "export_seconds": model.export_seconds}


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
