"""What a forward pass holds at once, found on shapes alone; and what this machine, or its container, has left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor, nn

from edgevision import environment
from edgevision.environment import available_memory
from edgevision.errors import UsageError
from edgevision.stages.create import InputSpec
from edgevision.stages.memory import check_fits, peak_of_activations

IMAGE = (InputSpec(name="image", shape=(1, 64, 64)),)
SIZE = 4 * 64 * 64


def module(forward: Callable[[Tensor], Tensor]) -> nn.Module:
    class Of(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return forward(x)

    return Of()


@pytest.mark.parametrize(
    ("forward", "tensors"),
    [
        (lambda x: x, 1),
        (lambda x: x + 1, 2),
        (lambda x: (x + 1).neg().neg().neg(), 3),  # each may go when the next stands
        (lambda x: torch.cat([x + i for i in range(3)], 1), 7),
        (lambda x: (x + 1).flatten(1).t()[3:].sum(), 2),  # views hold nothing of their own
        (lambda x: (x + 1).relu_(), 2),
    ],
)
def test_counts_what_lives_together(forward: Callable[[Tensor], Tensor], tensors: int) -> None:
    peak = peak_of_activations(module(forward), IMAGE, 1)
    assert peak is not None
    assert peak // SIZE == tensors
    assert peak_of_activations(module(forward), IMAGE, 4) == pytest.approx(4 * peak, rel=0.01)


def test_custom_operators_are_counted() -> None:
    scanner = tiny.scanner()
    shape = scanner.example_inputs.shape[1:]
    assert isinstance(shape, torch.Size)
    peak = peak_of_activations(scanner, (InputSpec(name="image", shape=tuple(shape)),), 1)
    assert peak is not None and peak > 3 * 32 * 32 * 4


def test_runs_nothing() -> None:
    """A feature map of a terabyte is found, not made."""
    with torch.device("meta"):
        wide = tiny.greedy(2**20)
    peak = peak_of_activations(wide, (InputSpec(name="image", shape=(1, 512, 512)),), 1)
    assert peak is not None and peak > 2**40


def test_a_model_that_looks_at_values_is_not_judged() -> None:
    spec = (InputSpec(name="image", shape=(3, 32, 32)),)
    assert peak_of_activations(tiny.looks_at_values(), spec, 1) is None
    check_fits(tiny.looks_at_values(), spec, 1)


def test_what_fits_is_let_through_and_the_batch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevision.stages.memory.available_memory", lambda: 30 * 2**20)
    greedy = tiny.greedy(64)  # a map of 1 MiB, of which four times are asked for
    check_fits(greedy, IMAGE, 4)
    with pytest.raises(UsageError, match="activations need") as caught:
        check_fits(greedy, IMAGE, 16)
    assert "--batch 16" in caught.value.thing


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_container_has_less_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = (tmp_path, "memory.max", "memory.current", "inactive_file")
    monkeypatch.setattr(environment, "_CGROUPS", (rule,))
    machine = available_memory()
    write(tmp_path, memory__max="max\n", memory__current="1000\n")
    assert available_memory() == pytest.approx(machine, rel=0.2)
    write(tmp_path, memory__max="5000\n", memory__stat="anon 7\ninactive_file 300\n")
    assert available_memory() == 5000 - 1000 + 300
    write(tmp_path, memory__current="9000\n", memory__stat="")
    assert available_memory() == 0
