"""Time per op type from ONNX Runtime's own trace."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevision.stages.samples import Array
    from edgevision.targets.target import Target

__all__ = ["op_times"]


def op_times(target: Target, path: Path, feed: Mapping[str, Array], runs: int) -> list[dict[str, Any]]:
    """Run under the profiler; rows {op, count, ms, share} for one run, the slowest first.

    `target` must be an `OnnxRuntime` with `profile_to` set.
    """
    with target.load(path) as runner:
        session = runner.session  # type: ignore[attr-defined]
        for _ in range(runs):
            runner(feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    total: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            op = event["args"]["op_name"]
            total[op] += event["dur"] / 1e3 / runs
            count[op] += 1
    whole = sum(total.values()) or 1.0
    return [
        {"op": op, "count": round(count[op] / runs), "ms": round(ms, 4), "share": round(ms / whole, 4)}
        for op, ms in sorted(total.items(), key=lambda item: -item[1])
    ]
