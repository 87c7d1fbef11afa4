"""What an export costs as the image grows: the graph does not grow with it, the time little, the memory stays bounded.

Each export runs in a process of its own (its peak is asked of the kernel), its stages timed by the processor's clock:
seconds of the wall would measure whatever else runs on the machine. Both run at once, for what slows a processor down
to slow both.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from workspace import children_environment

pytestmark = pytest.mark.slow

SCRIPT = """
import resource, sys, time
time.perf_counter = time.process_time
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.cache import Cache
from pathlib import Path

options = ExportOptions(model=sys.argv[1], target="ort", out=Path(sys.argv[2]), samples=1)
export_bundle(options, cache=Cache(root=None))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True)
class Cost:
    nodes: int
    seconds: float
    peak_gib: float
    side: int
    stages: list[dict[str, Any]]


def started(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, out.name, str(out)]
    return subprocess.Popen(command, env=children_environment(), stdout=subprocess.PIPE, text=True)


def cost(process: subprocess.Popen[str], out: Path) -> Cost:
    said, _ = process.communicate(timeout=1500)
    assert process.returncode == 0
    manifest = json.loads((out / "manifest.json").read_text())
    stages = [s for s in manifest["stages"] if s["name"] != "verify"]
    return Cost(
        nodes=manifest["graph"]["nodes"],
        seconds=sum(s["seconds"] - s["proof_seconds"] for s in stages),
        peak_gib=int(said.split()[-1]) / 2**20,
        side=manifest["model"]["input_shape"][-1],
        stages=stages,
    )


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    outs = {name: tmp_path_factory.mktemp("scale") / f"mobilemamba_{name}" for name in ("b1", "b4")}
    processes = {name: started(out) for name, out in outs.items()}
    return {name: cost(processes[name], out) for name, out in outs.items()}


def test_nodes(costs: dict[str, Cost]) -> None:
    assert (costs["b1"].side, costs["b4"].side) == (256, 512)
    assert costs["b4"].nodes <= 1.25 * costs["b1"].nodes


def test_time_without_verification(costs: dict[str, Cost]) -> None:
    assert costs["b4"].seconds <= 1.5 * costs["b1"].seconds, (costs["b1"].stages, costs["b4"].stages)


def test_memory(costs: dict[str, Cost]) -> None:
    assert max(c.peak_gib for c in costs.values()) <= 2.5
