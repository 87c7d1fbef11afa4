"""One process of the bench: every measurement at one number of threads. Started by run.py; writes one JSON file."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prepare import Prepared

__all__ = ["Task"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to measure.

    Attributes:
        seconds: of one table, about.
        scans: shapes of the scan to measure alone.
        with_facts: of the first model.
        compiled: models whose compilation by torch.compile has ended well, with its cache already filled.
    """

    models: list[Prepared]
    threads: int
    seconds: float
    scans: list[tuple[int, int, int]]
    with_facts: bool
    compiled: list[str]

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Task:
        read = json.loads(text)
        models = [
            Prepared(**{**m, "shape": tuple(m["shape"]), **{k: Path(m[k]) for k in ("kernels", "bodies", "plain")}})
            for m in read["models"]
        ]
        return cls(**{**read, "models": models, "scans": [tuple(s) for s in read["scans"]]})


def measure(task: Task) -> dict[str, Any]:
    """All tables of the task."""
    import torch
    from candidates import candidates
    from facts import facts
    from machine import Watch, noise
    from scans import scan_rows
    from turns import Row, in_turn, rows

    torch.set_num_threads(task.threads)

    def table(made: list[Row], watch: Watch, **more: Any) -> dict[str, Any]:
        load = watch.load()
        reasons = noise(load, [row.spread for row in made])
        return {"rows": [asdict(row) for row in made], "load": asdict(load), "noise": reasons, **more}

    result: dict[str, Any] = {"threads": task.threads, "models": {}, "scans": {}}
    for model in task.models:
        runs, missing = candidates(model, task.threads, compiled=model.name in task.compiled)
        watch = Watch()
        result["models"][model.name] = table(rows(in_turn(runs, task.seconds)), watch, missing=missing)
        del runs
    for shape in task.scans:
        watch = Watch()
        result["scans"]["x".join(map(str, shape))] = table(scan_rows(shape, task.threads, task.seconds / 2), watch)
    if task.with_facts:
        result["facts"] = facts(task.models[0])
    return result


if __name__ == "__main__":
    source, destination = (Path(argument) for argument in sys.argv[1:])
    destination.write_text(json.dumps(measure(Task.from_json(source.read_text("utf-8")))), encoding="utf-8")
