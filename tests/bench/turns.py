"""Candidates in turn: each runs a few times, then the next, round after round, so that a slow minute hits them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edgevision.latency import summarize

__all__ = ["Entrants", "Row", "Sample", "in_turn", "rows"]

#: Runs of a turn that count; one before them does not, since another candidate has just had the caches.
COUNTED = 3


@dataclass(frozen=True, kw_only=True)
class Entrants:
    """Who takes part in a table.

    Attributes:
        runs: by name; the others are compared with the first.
        missing: those that could not take part, and why.
        bytes: sizes of the files they are, where a table asks for them.
        notes: what was seen when they were made.
    """

    runs: Mapping[str, Callable[[], object]]
    missing: Mapping[str, str] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One candidate's milliseconds.

    Attributes:
        interval: 95 % on the median.
        spread: width of the middle half over the median.
        ratio: median over the rounds of its time over the first candidate's of the same round; `ratio_interval` 95 %.
        processor: median milliseconds of processor time, all threads together. On a busy machine a run waits for its
            turn; this is what it takes when it has it. `processor_ratio` is over the first candidate's.
    """

    name: str
    median: float
    interval: tuple[float, float]
    least: float
    spread: float
    ratio: float
    ratio_interval: tuple[float, float]
    processor: float
    processor_ratio: float
    runs: int


@dataclass(frozen=True)
class Sample:
    """One run, in milliseconds: by the clock on the wall, and of the processors."""

    wall: float
    processor: float


def in_turn(
    candidates: Mapping[str, Callable[[], object]], seconds: float, least_rounds: int = 5
) -> dict[str, list[list[Sample]]]:
    """Rounds of samples for each candidate, for about `seconds`."""
    taken: dict[str, list[list[Sample]]] = {name: [] for name in candidates}
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < least_rounds or time.perf_counter() < end:
        for name, run in candidates.items():
            run()
            taken[name].append([_sample(run) for _ in range(COUNTED)])
        rounds += 1
    return taken


def rows(taken: Mapping[str, Sequence[Sequence[Sample]]]) -> list[Row]:
    """Statistics; ratios are to the first candidate."""
    walls = {name: [[one.wall for one in turn] for turn in turns] for name, turns in taken.items()}
    processors = {
        name: statistics.median(one.processor for turn in turns for one in turn) for name, turns in taken.items()
    }
    first = next(iter(taken))
    base = [statistics.median(turn) for turn in walls[first]]
    made = []
    for name, turns in walls.items():
        latency = summarize([ms for turn in turns for ms in turn])
        ratios = summarize([statistics.median(turn) / one for turn, one in zip(turns, base, strict=True)])
        low, _, high = statistics.quantiles(latency.samples, n=4)
        made.append(
            Row(
                name=name,
                median=latency.p50,
                interval=latency.interval,
                least=min(latency.samples),
                spread=(high - low) / latency.p50,
                ratio=ratios.p50,
                ratio_interval=ratios.interval,
                processor=processors[name],
                processor_ratio=processors[name] / processors[first],
                runs=len(latency.samples),
            )
        )
    return made


def _sample(run: Callable[[], object]) -> Sample:
    wall, processor = time.perf_counter_ns(), time.process_time_ns()
    run()
    return Sample((time.perf_counter_ns() - wall) / 1e6, (time.process_time_ns() - processor) / 1e6)
