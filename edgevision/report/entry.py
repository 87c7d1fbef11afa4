"""One measurement as the report shows it: a profile, joined with the manifest of the bundle it measured.

They are joined by the hash of the graph: names repeat, contents do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgevision.report.sources import Source

__all__ = ["Accuracy", "Entry", "entries_of"]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Accuracy of a bundle: value as a fraction with its 95 % interval over n images."""

    metric: str
    value: float
    n: int
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A profile's numbers under the names the tables and plots use. Latencies are milliseconds.

    Attributes:
        samples: every run, in the order measured.
        manifest: of the bundle measured, when it was given too.
    """

    source: str
    model: str
    target: str
    precision: str
    device: str
    machine: str
    threads: int | None
    p50: float
    interval: tuple[float, float]
    cv: float
    samples: tuple[float, ...]
    verdict: str
    reasons: tuple[str, ...]
    accuracy: Accuracy | None
    document: Mapping[str, Any]
    manifest: Mapping[str, Any] | None

    @property
    def what(self) -> str:
        """The model as built."""
        return f"{self.model} {self.precision} ({self.target})"

    @property
    def label(self) -> str:
        """The model as built, and where it ran."""
        return f"{self.what} on {self.device}"


def entries_of(sources: Sequence[Source]) -> tuple[Entry, ...]:
    """One entry per profile, in the order given."""
    manifests = {s.document["graph"]["sha256"]: s.document for s in sources if s.kind == "manifest"}
    scores = {key: found for s in sources if s.kind == "regress" for key, found in _scores(s.document).items()}
    profiles = [s for s in sources if s.kind == "profile"]
    return tuple(_entry(s, manifests.get(s.document["bundle"].get("graph")), scores) for s in profiles)


def _scores(regression: Mapping[str, Any]) -> dict[str, Accuracy]:
    """Top-1 of each bundle that a regression evaluated, by variant/target/precision, with Wilson's interval.

    Of pictures without labels, and of models that enlarge, there is none.
    """
    n, found = regression["images"], {}
    for key, score in regression["scores"].items():
        if not regression.get("labelled") or "top1" not in score:
            continue
        value = score["top1"]
        found["/".join(key.split("/")[:3])] = Accuracy(metric="top-1", value=value, n=n, interval=_wilson(value, n))
    return found


def _wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval on a share of n (Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _entry(source: Source, manifest: Mapping[str, Any] | None, scores: Mapping[str, Accuracy]) -> Entry:
    document = source.document
    latency, bundle, device = document["latency_ms"], document["bundle"], document["device"]
    precision = bundle.get("precision") or (manifest or {}).get("target", {}).get("precision") or "precision unknown"
    return Entry(
        source=source.name,
        model=str(bundle.get("model", "model unknown")),
        target=str(bundle.get("target", "target unknown")),
        precision=str(precision),
        device=str(device.get("name", "device unknown")),
        machine=str(device.get("cpu") or device.get("kind") or ""),
        threads=document.get("threads"),
        p50=latency["p50"],
        interval=(latency["interval"][0], latency["interval"][1]),
        cv=latency["cv"],
        samples=tuple(latency["samples"]),
        verdict=str(document["verdict"]),
        reasons=tuple(document["reasons"]),
        accuracy=_accuracy(document.get("accuracy") or ((manifest or {}).get("quantization") or {}).get("accuracy"))
        or scores.get(f"{bundle.get('model')}/{bundle.get('target')}/{precision}"),
        document=document,
        manifest=manifest,
    )


def _accuracy(found: object) -> Accuracy | None:
    """An accuracy is shown only with the number of images behind it."""
    if not isinstance(found, Mapping) or "value" not in found or "n" not in found:
        return None
    interval = found.get("interval")
    return Accuracy(
        metric=str(found.get("metric", "top-1")),
        value=float(found["value"]),
        n=int(found["n"]),
        interval=None if interval is None else (float(interval[0]), float(interval[1])),
    )
