"""One process of the bench: one table. Started by run.py; writes one JSON file."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from networks import Prepared

if TYPE_CHECKING:
    from turns import Entrants

__all__ = ["Kind", "Task"]

Kind = Literal["latency", "scaling", "scan", "shift", "merging", "facts"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to measure.

    Attributes:
        kind: `latency`: ours and the peers; `scaling`: ours on one thread and on more; `scan`: the operator alone;
            `shift`: a linear layer, dense, in INT8 and in powers of two; `merging`: training and deploy form; `facts`: single numbers.
        subject: name of the network, or DxNxL of the scan, or tokens x inputs x outputs of the layer.
        model: the network's files, of `latency`, `scaling` and `facts`.
        folder: where the files of `merging` are, and those of `shift` go.
        seconds: how long, about.
        compiled: torch.compile takes part, in the forms that have been compiled before.
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
    from turns import in_turn, rows

    entrants = _entrants(task)
    watch = Watch()
    made = rows(in_turn(entrants.runs, task.seconds, least_rounds=3))
    load = watch.load()
    seen = {"missing": dict(entrants.missing), "bytes": dict(entrants.bytes), "notes": list(entrants.notes)}
    return {
        "rows": [asdict(row) for row in made],
        "load": asdict(load),
        "noise": noise(load, [row.spread for row in made]),
        **seen,
    }


def _entrants(task: Task) -> Entrants:
    from turns import Entrants

    if task.kind == "scan":
        from scans import scan_candidates

        D, N, L = (int(size) for size in task.subject.split("x"))
        return Entrants(runs=scan_candidates((D, N, L), task.threads))
    if task.kind == "shift":
        from shift import shift_entrants

        assert task.folder is not None
        rows, inputs, outputs = (int(size) for size in task.subject.split("x"))
        return shift_entrants((rows, inputs, outputs), task.folder, task.threads)
    if task.kind == "merging":
        from merging import merging_entrants

        assert task.folder is not None
        return merging_entrants(task.folder, task.threads)
    from candidates import network_entrants, scaling_candidates

    assert task.model is not None
    if task.kind == "scaling":
        return Entrants(runs=scaling_candidates(task.model, task.threads))
    return network_entrants(task.model, task.threads, compiled=task.compiled)


if __name__ == "__main__":
    source, destination = (Path(argument) for argument in sys.argv[1:])
    destination.write_text(json.dumps(measure(Task.from_json(source.read_text("utf-8")))), encoding="utf-8")
