"""What the bench compares is the same network in every form, and its page says what was and was not measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import torch
from compiled import FORMS
from table import markdown
from turns import Sample, rows

from edgevision.ops.operator import operators
from edgevision.proof import difference


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("states", [1, 4])
def test_every_form_of_the_scan_is_the_scan(form: str, states: int) -> None:
    """Two groups, an odd length; u, B and C are repeated for the reference as the operator shares them."""
    rng = np.random.default_rng(0)
    groups, channels, length = 2, 3, 13
    shapes: dict[str, tuple[int, ...]] = {"u": (2, groups * channels, length), "dt": (2, groups * channels, length)}
    shapes |= {"A": (groups * channels, states), "B": (2, groups, states, length), "C": (2, groups, states, length)}
    feed = {name: rng.standard_normal(shape) for name, shape in shapes.items()} | {"D": rng.standard_normal(6)}
    feed["dt"], feed["A"] = np.abs(feed["dt"]), -np.exp(feed["A"])
    wanted = operators()["EvSelectiveScan"].reference(list(feed.values()), {"delta_softplus": 0, "reverse": (0, 0)})[0]
    found = FORMS[form](*(torch.from_numpy(array) for array in feed.values())).numpy()
    assert difference(wanted, found).max_abs_over_std <= 1e-12


def test_ratios_are_those_of_the_same_round() -> None:
    """The second takes twice as long as the first; in the middle of the second round the machine slows down threefold."""
    slow = {"first": (1.0, 1.0, 3.0), "second": (1.0, 3.0, 3.0)}
    taken = {
        name: [[Sample(factor * times, factor)] * 3 for times in slow[name]]
        for name, factor in {"first": 1.0, "second": 2.0}.items()
    }
    first, second = rows(taken)
    assert (first.ratio, second.ratio, second.processor_ratio) == (1.0, 2.0, 2.0)
    assert second.spread > 0.5


def page(**extra: Any) -> str:
    taken = {name: [[Sample(factor, factor)] * 3] * 3 for name, factor in {"dense": 1.0, "packed": 2.0}.items()}
    about = {"kind": "shift", "subject": "1x2x3", "threads": 1, "versions": "torch 2", "when": "now", "noise": []}
    load = {"average": [0.1, 0.2, 0.3], "foreign": 0.0}
    made = [vars(row) for row in rows(taken)]
    table = {**about, "load": load, "rows": made, "missing": {}, "bytes": {}, "notes": [], **extra}
    return markdown({"cpu": {"name": "a processor", "count": 2}, "tables": [table]})


def test_the_page_has_the_sizes_beside_the_times() -> None:
    lines = page(bytes={"dense": 4096, "packed": 1024}).splitlines()
    header, dense, packed = (line for line in lines if line.startswith(("| candidate", "| dense", "| packed")))
    assert header.endswith("| file, KiB | of the first's |")
    assert dense.endswith("| 4.0 | 1.00 |") and packed.endswith("| 1.0 | 0.25 |")
    assert "2.00" in packed


@pytest.mark.parametrize("sizes", [{}, {"dense": 2, "packed": 1}])
def test_the_page_says_what_was_not_run(sizes: dict[str, int]) -> None:
    """In a row as wide as the others; a noisy machine is named, and so is what was seen while the candidates were made."""
    told = page(missing={"peer": "it is not installed"}, noise=["others were busy"], notes=["12 nodes"], bytes=sizes)
    lines = told.splitlines()
    row = next(line for line in lines if line.startswith("| peer"))
    assert "not run: it is not installed" in row
    assert row.count("|") == next(line for line in lines if line.startswith("| candidate")).count("|")
    assert "**noisy**: others were busy" in told and "12 nodes." in told
