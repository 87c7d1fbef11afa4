"""The machine we run on: load, warm up until stable, time N runs, and say whether the result may be believed."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from edgevision.bundle import inside, open_bundle
from edgevision.cache import default_cache
from edgevision.check_bundle import runnable_target
from edgevision.devices.contention import reasons_of
from edgevision.devices.energy import reasons_during, sensed
from edgevision.devices.machine_state import changes_between, machine_state, sensors_read
from edgevision.devices.pace import Pace
from edgevision.devices.sampling import Recording
from edgevision.devices.watching import Watch, unwatched
from edgevision.efficiency.analyse import analyse
from edgevision.efficiency.peaks import local_peaks
from edgevision.environment import cpu_name
from edgevision.errors import TargetError
from edgevision.latency import Latency, judge, summarize, warmed_up
from edgevision.manifest import Manifest, as_json
from edgevision.pipeline import SAMPLE
from edgevision.stages.samples import compare_runner, read_samples
from edgevision.stages.timing import Report, unreported
from edgevision.targets.target import SelfProfiling

if TYPE_CHECKING:
    from edgevision.devices.ort_trace import Trace
    from edgevision.stages.samples import Array, Samples
    from edgevision.targets.target import Runner, Target

__all__ = ["ProfileOptions", "bundle_facts", "profile_local"]

#: Warming up ends here even when the runs have not settled.
LONGEST_WARMUP_SECONDS = 10.0
#: The sensors are read for so long at most, beside `seconds`.
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """How to measure.

    Attributes:
        threads: intra-op threads; 0 for the runtime's choice.
        runs: at least so many timed runs.
        seconds: and for at least so long.
        per_op: times per op type too.
    """

    threads: int = 1
    runs: int = 100
    seconds: float = 0.0
    per_op: bool = False


def profile_local(
    bundle: Path, options: ProfileOptions, *, report: Report = unreported, watch: Watch = unwatched
) -> dict[str, Any]:
    """Measure a bundle on this machine. Returns the document of `profile --json`, schema version 1.

    `watch` is told the samples so far after each run, outside the time measured.

    Raises:
        DataError: not a bundle.
        TargetError: its artifact cannot run here.
    """
    manifest = open_bundle(bundle)
    target = runnable_target(manifest, threads=options.threads)
    samples = read_samples(bundle / SAMPLE, manifest.parity.reference)
    before = machine_state()
    measured = _measure(target, bundle, manifest, samples, options, report, watch)
    end_to_end = _end_to_end(manifest, bundle, target, options)
    after = machine_state()
    latency = summarize(measured.samples)
    verdict, reasons = judge(latency)
    sensors = sensed(measured.recording, latency.mean, own=measured.own)
    seen = (*reasons_during(measured.recording), *reasons_of(sensors), *Pace.reasons(measured.pace))
    reasons = (*reasons, *changes_between(before, after), *seen)
    traced = _trace(target, manifest, bundle, samples.feeds[0], options)
    peaks = None
    if options.per_op and traced:  # a runtime without a trace has no peaks of this kind either
        report("peaks")
        peaks = local_peaks(options.threads)
    told = (
        target.profile(inside(bundle, manifest.artifact["path"]), samples.feeds[0], options.runs)
        if isinstance(target, SelfProfiling)
        else {}
    )
    return {
        "schema_version": 1,
        "bundle": bundle_facts(manifest),
        "device": {"name": "local", "kind": "local", "cpu": cpu_name(), "emulated": False},
        "environment": {"before": before, "after": after},
        "threads": getattr(target, "threads", 1),
        "runs": len(measured.samples),
        "latency_ms": as_json(latency),
        "device_ms": _device_times(measured.on_device),
        "end_to_end_ms": end_to_end,
        "verdict": "unstable" if reasons else verdict,
        "reasons": list(reasons),
        "cold_start_ms": measured.cold,
        "peak_memory_mib": round(measured.peak, 1),
        "per_op": list(traced.per_op) if traced and options.per_op else None,
        "placement": dict(traced.placement) if traced else None,
        "energy_mj": sensors["energy"]["mj"] if sensors["energy"] else None,
        "sensors": sensors,
        "pace": measured.pace,
        "parity": measured.parity,
        "efficiency": analyse(bundle, manifest, peaks, latency.p50, traced),
        **told,
    }


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What one open runner told.

    Attributes:
        cold: milliseconds of opening it and of the first run.
        samples: milliseconds of the timed runs.
        on_device: what a runtime with a device of its own timed there, run by run.
        own: processors that this program kept busy meanwhile.
        pace: of the machine, see `Pace.told`.
        peak: mebibytes of memory.
    """

    cold: float
    samples: Sequence[float]
    on_device: Sequence[Any]
    own: float
    pace: Mapping[str, Any]
    recording: Recording
    parity: Mapping[str, Any]
    peak: float


def _measure(
    target: Target,
    bundle: Path,
    manifest: Manifest,
    samples: Samples,
    options: ProfileOptions,
    report: Report,
    watch: Watch,
) -> _Measured:
    report("cold start")
    start = time.perf_counter()
    recording, taken, on_device, pace = Recording(), list[float](), list[Any](), Pace(default_cache().root)
    with target.load(inside(bundle, manifest.artifact["path"])) as runner:
        feed = samples.feeds[0]
        runner(feed)
        cold = (time.perf_counter() - start) * 1e3
        with sensors_read(recording, LONGEST_SECONDS + options.seconds):
            report("warm up")
            _warm_up(runner, feed)
            report(f"{options.runs} runs")
            begun, worked = time.perf_counter(), time.process_time()
            end = begun + options.seconds
            while len(taken) < options.runs or time.perf_counter() < end:
                taken.append(_timed(lambda: runner(feed)))
                recording.ran()
                on_device.append(getattr(runner, "stages", None))
                watch(taken)
                pace.look()
            own = (time.process_time() - worked) / (time.perf_counter() - begun)
        parity = _parity(runner, samples, manifest)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return _Measured(
        cold=cold,
        samples=taken,
        on_device=on_device,
        own=own,
        pace=pace.told(),
        recording=recording,
        parity=parity,
        peak=peak,
    )


def bundle_facts(manifest: Manifest) -> dict[str, Any]:
    """What a profile says of the bundle it measured; the graph's hash is what joins the two in a report."""
    return {
        "model": manifest.model.variant,
        "target": manifest.target["name"],
        "precision": manifest.target.get("precision"),
        "graph": manifest.graph.sha256,
    }


def _device_times(runs: Sequence[Any]) -> dict[str, Any] | None:
    """Medians of what a runtime with a device of its own times there; None where there is no such device."""
    documents = [as_json(stages) for stages in runs if stages is not None]
    if not documents:
        return None
    times = {key: median(d[key] for d in documents) for key, value in documents[0].items() if isinstance(value, float)}
    return {**documents[-1], **times}


def _warm_up(runner: Runner, feed: Mapping[str, Array]) -> None:
    seen: list[float] = []
    end = time.perf_counter() + LONGEST_WARMUP_SECONDS
    while not warmed_up(seen) and time.perf_counter() < end:
        seen.append(_timed(lambda: runner(feed)))


def _timed(run: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - start) / 1e6


def _parity(runner: Runner, samples: Samples, manifest: Manifest) -> dict[str, Any]:
    """A fast wrong answer is an error: the timed session's own output against the bundle's sample."""
    error = compare_runner(runner, samples).max_abs_over_std
    tolerance = manifest.parity.tolerance
    if not error <= tolerance:
        raise TargetError(
            manifest.model.variant,
            f"its output here differs from the sample in the bundle by {error:.2e} of std (allowed {tolerance:.0e})",
            "export the bundle again on this machine",
        )
    return {"max_abs_over_std": error, "tolerance": tolerance, "reference": samples.reference}


def _end_to_end(manifest: Manifest, bundle: Path, target: Target, options: ProfileOptions) -> dict[str, Any] | None:
    """Decoding a JPEG of 640x480, preprocessing and the model, where the manifest says how images enter it."""
    how = manifest.model.preprocess
    shape = manifest.inputs[0]["shape"]
    if how is None or "mean" not in how or len(manifest.inputs) != 1 or shape[1] != 3:
        return None
    import io

    import numpy as np
    from PIL import Image

    from edgevision.images import preprocess

    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noise).resize((640, 480)).save(encoded, "JPEG", quality=90)

    def once(runner: Runner) -> None:
        pixels = np.asarray(Image.open(io.BytesIO(encoded.getvalue())).convert("RGB"))
        runner({manifest.inputs[0]["name"]: preprocess(pixels, (shape[2], shape[3]), how)[None]})

    with target.load(inside(bundle, manifest.artifact["path"])) as runner:
        once(runner)
        latency: Latency = summarize([_timed(lambda: once(runner)) for _ in range(max(10, options.runs // 5))])
    return {**as_json(latency), "what": "JPEG 640x480 decoded, preprocessed, run"}


def _trace(
    target: Target, manifest: Manifest, bundle: Path, feed: Mapping[str, Array], options: ProfileOptions
) -> Trace | None:
    """What the runtime's own trace tells; None where the runtime has none."""
    if not hasattr(target, "profile_to"):
        return None
    import tempfile

    from edgevision.devices.ort_trace import trace

    with tempfile.TemporaryDirectory(prefix="edgevision-") as folder:
        tracing = runnable_target(manifest, threads=options.threads, profile_to=f"{folder}/trace")
        runs = max(10, options.runs // 5) if options.per_op else 1
        return trace(tracing, inside(bundle, manifest.artifact["path"]), feed, runs)
