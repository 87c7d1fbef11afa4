"""Runs a saved ML program, operation by operation, on the CPU.

Every result is checked against the type that the specification declares for it (element type, rank, dims), so a
program whose types do not fit its operations does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgevision.errors import DataError, TargetError
from edgevision.targets.coreml.evaluator.program import Block, Operation, Program, TensorType, open_package
from edgevision.targets.coreml.evaluator.semantics import SEMANTICS, Arguments, Value, as_value

__all__ = ["Evaluator"]

_DTYPES = {
    "fp16": torch.float16,
    "fp32": torch.float32,
    "int32": torch.int32,
    "bool": torch.bool,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "uint16": torch.int32,
}
Watch = Callable[[Operation, Sequence[Value]], None]


class Evaluator:
    """A program ready to run. `kinds` are the operations it uses."""

    def __init__(self, path: Path) -> None:
        self.program: Program = open_package(path)
        self.constants: dict[str, Value] = {name: as_value(c) for name, c in self.program.constants.items()}
        self.kinds = frozenset(_kinds(self.program.main))
        unknown = self.kinds - SEMANTICS.keys() - {"cond", "while_loop"}
        if unknown:
            raise TargetError(str(path), f"the evaluator has no meaning for {sorted(unknown)}", "check it on a Mac")

    @torch.no_grad()
    def __call__(self, feeds: Mapping[str, NDArray[Any]], watch: Watch | None = None) -> dict[str, Any]:
        """Outputs by name; `watch` sees every operation with its results.

        Raises:
            DataError: an input is missing, or has another shape than the program declares.
        """
        values = dict(self.constants)
        for name, kind in self.program.main.inputs:
            if name not in feeds:
                raise DataError(f"input {name!r}", "it is not given", f"give all of {self.inputs()}")
            given = np.asarray(feeds[name])
            if not _fits(given.shape, kind):
                raise DataError(f"input {name!r}", f"its shape is {given.shape}, not {kind.dims}", "reshape it")
            values[name] = torch.from_numpy(np.array(given)).to(_DTYPES[kind.dtype])
        self._block(self.program.main, values, watch)
        return {name: _out(values[name]) for name in self.program.main.outputs}

    def inputs(self) -> list[str]:
        """Names of the inputs."""
        return [name for name, _ in self.program.main.inputs]

    def _block(self, block: Block, values: dict[str, Value], watch: Watch | None) -> None:
        last = _last_uses(block)
        for position, operation in enumerate(block.operations):
            results = self._operation(operation, values, watch)
            if watch is not None:
                watch(operation, results)
            for (name, _), result in zip(operation.outputs, results, strict=True):
                values[name] = result
            for name in last.get(position, ()):
                values.pop(name, None)

    def _operation(self, operation: Operation, values: dict[str, Value], watch: Watch | None) -> list[Value]:
        arguments = {
            key: [values[a] if isinstance(a, str) else as_value(a[0]) for a in bound]
            for key, bound in operation.inputs.items()
        }
        if operation.kind == "cond":
            taken = operation.blocks[0 if bool(arguments["pred"][0]) else 1]
            return self._inner(taken, values, watch)
        if operation.kind == "while_loop":
            return self._while(operation, arguments["loop_vars"], values, watch)
        wide = {key: [_widened(value) for value in bound] for key, bound in arguments.items()}
        result = SEMANTICS[operation.kind](Arguments(operation, wide))
        results: list[Any] = list(result) if isinstance(result, (tuple, list)) else [result]
        return [_declared(operation, value, kind) for value, (_, kind) in zip(results, operation.outputs, strict=True)]

    def _inner(self, block: Block, values: dict[str, Value], watch: Watch | None) -> list[Value]:
        scope = dict(values)
        self._block(block, scope, watch)
        return [scope[name] for name in block.outputs]

    def _while(
        self, operation: Operation, state: list[Any], values: dict[str, Value], watch: Watch | None
    ) -> list[Value]:
        condition, body = operation.blocks
        while True:
            scope = values | {name: v for (name, _), v in zip(condition.inputs, state, strict=True)}
            if not bool(self._inner(condition, scope, watch)[0]):
                return state
            scope = values | {name: v for (name, _), v in zip(body.inputs, state, strict=True)}
            state = self._inner(body, scope, watch)


def _kinds(block: Block) -> list[str]:
    inner = [kind for operation in block.operations for b in operation.blocks for kind in _kinds(b)]
    return [operation.kind for operation in block.operations] + inner


def _uses(operation: Operation) -> list[str]:
    names = [a for bound in operation.inputs.values() for a in bound if isinstance(a, str)]
    return (
        names
        + [name for block in operation.blocks for o in block.operations for name in _uses(o)]
        + [name for block in operation.blocks for name in block.outputs]
    )


def _last_uses(block: Block) -> dict[int, list[str]]:
    """Which values of this block are needed by no operation after a position."""
    made = {name: position for position, o in enumerate(block.operations) for name, _ in o.outputs}
    last = dict(made)
    for position, operation in enumerate(block.operations):
        last |= {name: position for name in _uses(operation) if name in made}
    result: dict[int, list[str]] = {}
    for name, position in last.items():
        if name not in block.outputs:
            result.setdefault(position, []).append(name)
    return result


def _widened(value: Value) -> Value:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.float16 else value


def _fits(shape: Sequence[int], kind: TensorType) -> bool:
    dims = kind.dims
    return (
        dims is not None and len(dims) == len(shape) and all(d in (None, s) for d, s in zip(dims, shape, strict=True))
    )


def _declared(operation: Operation, value: Value, kind: TensorType) -> Value:
    """`value` in the type that the specification declares, which must be what the operation gives."""
    if not isinstance(value, torch.Tensor) or kind.dims is None:
        return value
    wanted = _DTYPES[kind.dtype]
    floats = value.is_floating_point() == wanted.is_floating_point
    logical = (value.dtype == torch.bool) == (wanted == torch.bool)
    if not (_fits(value.shape, kind) and floats and logical):
        raise TargetError(
            f"operation {operation.name!r} ({operation.kind})",
            f"it gives {value.dtype}{list(value.shape)}, and the program declares {kind.dtype}{list(kind.dims)}",
            "the program is wrong: report it with the package",
        )
    return value.to(wanted)


def _out(value: Value) -> Any:
    return value.numpy() if isinstance(value, torch.Tensor) else value
