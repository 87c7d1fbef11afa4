"""Checks a saved specification without Core ML: structure, versions, types.

coremltools validates ML programs on macOS only. What can be checked from the bytes is checked here: every value is
defined before it is used, every operation exists in the deployment target's operation set, every constant is in the
file. That declared types are what the operations give is checked by the evaluator, at every operation it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgevision.errors import TargetError
from edgevision.targets.coreml.deployment import DEPLOYMENTS, opset_name
from edgevision.targets.coreml.evaluator.program import Block, Operation, open_package

__all__ = ["check_specification", "first_release"]


def check_specification(path: Path, deployment: str) -> None:
    """Check the package at `path` against the deployment target it is for.

    Raises:
        TargetError: it is damaged, ill-formed, or needs a newer system.
    """
    program = open_package(path)
    release = DEPLOYMENTS[deployment]
    allowed = [opset_name(name) for name, number in DEPLOYMENTS.items() if number <= release]
    if program.opset not in allowed:
        raise TargetError(str(path), f"its operation set {program.opset} is newer than {deployment}", "report it")
    known = {*program.constants, *(name for name, _ in program.main.inputs)}
    _check_block(program.main, known, release)
    described = [entry.name for entry in program.specification.description.output]
    classifier = bool(program.specification.description.predictedFeatureName)
    if not classifier and sorted(described) != sorted(program.main.outputs):
        raise TargetError(str(path), f"it describes outputs {described} and gives {program.main.outputs}", "report it")


def _check_block(block: Block, known: set[str], release: int) -> None:
    known = known | {name for name, _ in block.inputs}
    for operation in block.operations:
        for name in _read(operation):
            if name not in known:
                raise TargetError(_thing(operation), f"it reads {name!r}, which nothing computes", "report it")
        needed = first_release(operation.kind)
        if needed is None or needed > release:
            raise TargetError(
                _thing(operation),
                f"it is newer than the deployment target (it needs iOS{needed})"
                if needed
                else "it is no MIL operation",
                f"use --minimum-deployment-target iOS{needed}" if needed else "report it",
            )
        for inner in operation.blocks:
            _check_block(inner, known, release)
        known |= {name for name, _ in operation.outputs}
    for name in block.outputs:
        if name not in known:
            raise TargetError("an ML program", f"its output {name!r} is computed by nothing", "report it")


def _thing(operation: Operation) -> str:
    return f"operation {operation.name!r} ({operation.kind})"


def _read(operation: Operation) -> Iterator[str]:
    for arguments in operation.inputs.values():
        yield from (argument for argument in arguments if isinstance(argument, str))


def first_release(kind: str) -> int | None:
    """The first iOS release whose operation set has `kind`; None for what is no operation."""
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    versions: dict[Any, Any] = SSAOpRegistry.core_ops.get(kind, {})
    releases = [int(version.name.removeprefix("iOS")) for version in versions]
    return max(min(releases), 15) if releases else None
