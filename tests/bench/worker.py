"""One process of the bench: one table. Started by run.py; writes one JSON file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from prepare import Prepared

__all__ = ["Kind", "Task"]

Kind = Literal["latency", "scaling", "scan", "merging", "facts"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to measure.

    Attributes:
        kind: `latency`: ours and the peers; `scaling`: ours on one thread and on more; `scan`: the operator alone;
            `merging`: training and deploy form; `facts`: single numbers.
        subject: name of the network, or DxNxL of the scan.
        model: the network's files, for all but `scan` and `merging`.
        folder: of `merging`.
        seconds: how long, about.
        compiled: torch.compile takes part; its cache is filled.
    """

    kind: Kind
    subject: str
    threads: int
    seconds: float
    model: Prepared | None = None
    folder: Path | None = None
    compiled: bool = False

    @property
    def key(self) -> str:
        return f"{self.kind}-{self.subject.replace(':', '-')}-{self.threads}"

    def to_json(self) -> str:
        model = None if self.model is None else self.model.to_json()
        return json.dumps({**asdict(self), "model": model, "folder": str(self.folder) if self.folder else None})

    @classmethod
    def from_json(cls, text: str) -> Task:
        read = json.loads(text)
        model = Prepared.from_json(read["model"]) if read["model"] else None
        return cls(**{**read, "model": model, "folder": Path(read["folder"]) if read["folder"] else None})


def measure(task: Task) -> dict[str, Any]:
    """The table, with the load of the machine while it was measured."""
    import torch
    from machine import Watch, noise

    torch.set_num_threads(task.threads)
    if task.kind == "facts":
        from facts import facts

        assert task.model is not None
        return facts(task.model)
    runs, missing = _runs(task)
    from turns import in_turn, rows

    watch = Watch()
    made = rows(in_turn(runs, task.seconds, least_rounds=3))
    load = watch.load()
    reasons = noise(load, [row.spread for row in made])
    return {"rows": [asdict(row) for row in made], "load": asdict(load), "noise": reasons, "missing": missing}


def _runs(task: Task) -> tuple[Mapping[str, Callable[[], object]], dict[str, str]]:
    """Candidates by name, and those that could not be built with the reason."""
    from candidates import candidates, scaling_candidates

    if task.kind == "scan":
        from scans import scan_candidates

        D, N, L = (int(size) for size in task.subject.split("x"))
        return scan_candidates((D, N, L), task.threads), {}
    if task.kind == "merging":
        from merging import merging_candidates

        assert task.folder is not None
        return merging_candidates(task.folder, task.threads), {}
    assert task.model is not None
    if task.kind == "scaling":
        return scaling_candidates(task.model, task.threads), {}
    return candidates(task.model, task.threads, compiled=task.compiled)


if __name__ == "__main__":
    source, destination = (Path(argument) for argument in sys.argv[1:])
    destination.write_text(json.dumps(measure(Task.from_json(source.read_text("utf-8")))), encoding="utf-8")
