"""Every target of the registry: what it lacks is found out without importing its runtime, and said with the mend."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from workspace import children_environment

from edgevision.targets.target import TargetEntry, WhyNot, targets

ALL = list(targets().values())
PRECISIONS = {"fp32", "fp16", "bf16", "int8"}

WITHOUT = """
import json, sys
blocked = {runtimes!r}
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.partition(".")[0] in blocked else real(name, package)

from edgevision.targets.target import targets

answers = {{}}
for entry in targets().values():
    missing = entry.create().why_not()
    answers[entry.name] = missing and [missing.reason, missing.mend]
print(json.dumps({{"answers": answers, "imported": sorted(set(blocked) & set(sys.modules))}}))
"""


def name_of(entry: TargetEntry) -> str:
    return entry.name


def ask(blocked: list[str]) -> dict[str, object]:
    script = WITHOUT.format(runtimes=blocked)
    done = subprocess.run(
        [sys.executable, "-c", script], env=children_environment(), capture_output=True, text=True, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def runtimes() -> list[str]:
    return sorted({entry.package for entry in ALL} | {"tensorrt", "tensorrt_rtx", "coremltools", "onnxruntime"})


def test_the_two_that_need_no_hardware_are_there() -> None:
    assert {"ort", "onnx"} <= set(targets())


def test_nothing_is_imported_to_find_out() -> None:
    answer = ask(["no_such_runtime"])
    script = WITHOUT.format(runtimes=["no_such_runtime"]).replace("set(blocked)", repr(set(runtimes())))
    done = subprocess.run(
        [sys.executable, "-c", script], env=children_environment(), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["imported"] == []
    assert set(answer["answers"]) == set(targets())  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def without() -> dict[str, list[str] | None]:
    """Every target's answer on a machine that has none of the runtimes."""
    return ask(runtimes())["answers"]  # type: ignore[return-value]


@pytest.mark.parametrize("entry", ALL, ids=name_of)
def test_a_missing_package_is_named_with_its_mend(entry: TargetEntry, without: dict[str, list[str] | None]) -> None:
    answer = without[entry.name]
    assert answer is not None
    reason, mend = answer
    assert "not installed" in reason or "missing" in reason, reason
    assert "pip install" in mend
    assert not entry.extra or f"[{entry.extra}]" in mend


@pytest.mark.parametrize("entry", ALL, ids=name_of)
def test_an_entry_is_whole(entry: TargetEntry) -> None:
    assert entry.summary and entry.package and set(entry.precisions) <= PRECISIONS and entry.precisions
    assert dataclasses.is_dataclass(entry.create)
    target = entry.create()
    with pytest.raises(dataclasses.FrozenInstanceError):
        target.precision = "fp32"
    assert target.precision in entry.precisions, "the default can be built"
    missing = target.why_not()
    assert missing is None or (isinstance(missing, WhyNot) and missing.reason and missing.mend)
    assert missing is None or not missing.reason.endswith(".")
