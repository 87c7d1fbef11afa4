"""Time and energy that were measured on devices, from the profiles of bundles, to stand beside what is estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.errors import DataError
from edgevision.report.sources import read_source

__all__ = ["Profiled", "profiled"]


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """One profile.

    Attributes:
        file: its name.
        model, target, precision, device: what ran where.
        p50_ms, interval: median latency and the 95 % interval on it.
        verdict: `stable`, `unstable` or `emulated`.
        energy_mj: of an inference, by the device's sensors; None where it has none.
        why_no_energy: the reason then.
    """

    file: str
    model: str
    target: str
    precision: str | None
    device: str
    p50_ms: float
    interval: tuple[float, float]
    verdict: str
    energy_mj: float | None
    why_no_energy: str | None


def profiled(files: Sequence[Path]) -> tuple[Profiled, ...]:
    """What each file says.

    Raises:
        DataError: a file is no profile, or is cut short.
    """
    return tuple(_profiled(file) for file in files)


def _profiled(file: Path) -> Profiled:
    source = read_source(file)
    if source.kind != "profile":
        raise DataError(str(file), f"it is a {source.kind}, not a profile", "name files of `edgevision profile --out`")
    document, bundle = source.document, source.document["bundle"]
    low, high = document["latency_ms"]["interval"]
    energy, sensors = document.get("energy_mj"), document.get("sensors") or {}
    emulated = "the device is emulated" if document["device"].get("emulated") else None
    return Profiled(
        file=file.name,
        model=str(bundle.get("model")),
        target=str(bundle.get("target")),
        precision=bundle.get("precision"),
        device=str(document["device"].get("name")),
        p50_ms=document["latency_ms"]["p50"],
        interval=(low, high),
        verdict=document["verdict"],
        energy_mj=energy,
        why_no_energy=None if energy is not None else sensors.get("why_no_energy") or emulated or "it has no sensor",
    )
