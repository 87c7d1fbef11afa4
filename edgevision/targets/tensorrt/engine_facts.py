"""What `edgevision inspect` shows of an engine, from the record written at build time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

__all__ = ["engine_facts"]


def engine_facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows for people from `engine.json`; `edgevision inspect --json` has all of it."""
    kinds = Counter(layer["kind"] for layer in record["layers"])
    nodes = {node for layer in record["layers"] for node in layer["nodes"]}
    return [
        ("engine", f"{record['flavor']} {record['version']}, {record['engine']['bytes'] / 2**20:.1f} MiB"),
        ("compute capabilities", ", ".join(record["compute_capabilities"])),
        *[("input", _tensor(tensor)) for tensor in record["inputs"]],
        *[("output", _tensor(tensor)) for tensor in record["outputs"]],
        *[("profile", _profile(profile)) for profile in record["profiles"]],
        ("layers", f"{len(record['layers'])}, from {len(nodes)} nodes: {_counts(kinds)}"),
        ("plugin layers", f"{record['plugin_layers']} ({_counts(record['plugins'])})" if record["plugins"] else "none"),
        ("stored as", _counts(record["precisions"])),
        ("device memory", ", ".join(f"{name} {_mib(size)}" for name, size in record["memory_bytes"].items())),
    ]


def _counts(counts: Mapping[str, int]) -> str:
    """Names with how often, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {name}" for name, count in ordered)


def _tensor(tensor: Mapping[str, Any]) -> str:
    sizes = " x ".join("?" if size is None else str(size) for size in tensor["shape"])
    return f"{tensor['name']}: {tensor['dtype']} {sizes}"


def _profile(profile: Mapping[str, Any]) -> str:
    ranges = (
        f"{name} {' to '.join('x'.join(map(str, shape)) for shape in shapes)}" for name, shapes in profile.items()
    )
    return "; ".join(ranges)


def _mib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**20:.1f} MiB"
