"""What an export costs as the image grows: the graph does not grow with it, the time little, the memory stays bounded.

Each export runs in a process of its own (its peak is asked of the kernel), its stages timed by the processor's clock:
seconds of the wall would measure whatever else runs on the machine.
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

done = export_bundle(ExportOptions(model=sys.argv[1], target="ort", out=Path(sys.argv[2])), cache=Cache(root=None))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True)
class Cost:
    nodes: int
    seconds: float
    peak_gib: float
    side: int
    stages: list[dict[str, Any]]


def cost(name: str, folder: Path) -> Cost:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name, str(folder / name)],
        env=children_environment(), capture_output=True, text=True, check=True, timeout=1500,
    )  # fmt: skip
    manifest = json.loads((folder / name / "manifest.json").read_text())
    stages = [s for s in manifest["stages"] if s["name"] != "verify"]
    return Cost(
        nodes=manifest["graph"]["nodes"],
        seconds=sum(s["seconds"] - s["proof_seconds"] for s in stages),
        peak_gib=int(done.stdout.split()[-1]) / 2**20,
        side=manifest["model"]["input_shape"][-1],
        stages=stages,
    )


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cost]:
    folder = tmp_path_factory.mktemp("scale")
    return {name: cost(f"mobilemamba_{name}", folder) for name in ("b1", "b4")}


def test_nodes(costs: dict[str, Cost]) -> None:
    assert (costs["b1"].side, costs["b4"].side) == (256, 512)
    assert costs["b4"].nodes <= 1.25 * costs["b1"].nodes


def test_time_without_verification(costs: dict[str, Cost]) -> None:
    assert costs["b4"].seconds <= 1.5 * costs["b1"].seconds, (costs["b1"].stages, costs["b4"].stages)


def test_memory(costs: dict[str, Cost]) -> None:
    assert max(c.peak_gib for c in costs.values()) <= 2.5
