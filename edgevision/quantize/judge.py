"""What quantization did to the answers, and to the time: two graphs on the same images, in turn.

    snr_db      10 log10(sum ref² / sum (ref - result)²) over all outputs of all images
    agreement   share of images whose largest output (axis 1) is the same; None where outputs are not class scores

Speed is the median ratio of adjacent runs, float over INT8, with the distribution-free 95 % interval: whatever slows
the machine slows both runs of a pair. A runner that computes on the calling thread alone is better timed by that
thread's processor time, to which waiting for a busy machine does not add.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevision.calibration.source import Image
from edgevision.errors import GraphError
from edgevision.latency import summarize
from edgevision.targets.target import Runner

__all__ = ["Clock", "Fidelity", "Speed", "check_runtime", "fidelity", "fidelity_to", "race"]

Clock = Callable[[], float]
#: A runtime may lose this much against the same graph computed node by node, unless what it has is clean anyway.
_TOLERATED_DB, _CLEAN_DB = 3.0, 50.0
#: How long a race takes.
SECONDS = 4.0


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """How close two runners' answers are."""

    snr_db: float
    agreement: float | None
    images: int


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How many times as fast the second runner is.

    Attributes:
        ratio: median of first / second.
        interval: 95 % on that median.
        first_ms, second_ms: medians, for orientation.
        pairs: how many were run.
    """

    ratio: float
    interval: tuple[float, float]
    first_ms: float
    second_ms: float
    pairs: int

    @property
    def gains(self) -> bool:
        """Whether the second is faster beyond doubt."""
        return self.interval[0] > 1.0


def fidelity(reference: Runner, result: Runner, feeds: Sequence[Image]) -> Fidelity:
    """Run both on `feeds` ([N, C, H, W] each) and compare."""
    return fidelity_to([reference(feed) for feed in feeds], result, feeds)


def fidelity_to(answers: Sequence[Sequence[Any]], result: Runner, feeds: Sequence[Image]) -> Fidelity:
    """Run one on `feeds` and compare with the answers of the other."""
    signal = noise = 0.0
    same: list[bool] = []
    images = 0
    for given, feed in zip(answers, feeds, strict=True):
        images += len(feed)
        for a, b in zip(given, result(feed), strict=True):
            expected, got = np.asarray(a, np.float64), np.asarray(b, np.float64)
            signal += float((expected**2).sum())
            noise += float(((expected - got) ** 2).sum())
            if expected.ndim == 2:
                same += (expected.argmax(1) == got.argmax(1)).tolist()
    ratio = math.inf if noise == 0 else (10 * math.log10(signal / noise) if signal > 0 else -math.inf)
    return Fidelity(snr_db=ratio, agreement=float(np.mean(same)) if same else None, images=images)


def check_runtime(computed: Fidelity, plain: Fidelity) -> None:
    """Fused kernels round in another order, which makes other noise but not more of it.

    Raises:
        GraphError: there is more of it.
    """
    if computed.snr_db < plain.snr_db - _TOLERATED_DB and computed.snr_db < _CLEAN_DB:
        raise GraphError(
            "stage quantize",
            f"ONNX Runtime computes the Q/DQ graph with {computed.snr_db:.1f} dB signal to noise, node by node it has "
            f"{plain.snr_db:.1f} dB",
            "report it with the model and the processor: a kernel may saturate; try --scheme ort_x86_avx2",
        )


def race(
    first: Runner,
    second: Runner,
    feed: Image,
    *,
    clock: Clock = time.perf_counter,
    seconds: float = SECONDS,
    least: int = 9,
    most: int = 201,
) -> Speed:
    """Time both in turn by `clock` (seconds), for about `seconds` in all, the order of a pair alternating."""
    for _ in range(3):
        first(feed), second(feed)
    firsts: list[float] = []
    seconds_: list[float] = []
    end = time.perf_counter() + seconds
    while len(firsts) < least or (len(firsts) < most and time.perf_counter() < end):
        if len(firsts) % 2:
            b, a = _timed(second, feed, clock), _timed(first, feed, clock)
        else:
            a, b = _timed(first, feed, clock), _timed(second, feed, clock)
        firsts.append(a)
        seconds_.append(b)
    ratios = summarize([a / b for a, b in zip(firsts, seconds_, strict=True)])
    return Speed(
        ratio=ratios.p50,
        interval=ratios.interval,
        first_ms=summarize(firsts).p50,
        second_ms=summarize(seconds_).p50,
        pairs=len(firsts),
    )


def _timed(runner: Runner, feed: Image, clock: Clock) -> float:
    start = clock()
    runner(feed)
    return (clock() - start) * 1e3
