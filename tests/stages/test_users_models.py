"""A user's own package, `package.module:factory`: several inputs and outputs on every target, arguments, the line that breaks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workspace import Command, leftovers

from edgevision import load
from edgevision.targets.target import targets

NETS = """
import torch
from torch import nn


class Located(nn.Module):
    '''An image and where it was taken -> a map, and scores.'''

    def __init__(self, width):
        super().__init__()
        self.wide = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.point = nn.Sequential(nn.Conv2d(3, width, 1, bias=False), nn.BatchNorm2d(width))
        self.place = nn.Linear(2, width)
        self.head = nn.Linear(width, 5)
        for norm in (self.wide[1], self.point[1]):
            nn.init.uniform_(norm.running_var, 0.7, 1.7)

    @property
    def example_inputs(self):
        return torch.zeros(1, 3, 12, 9), torch.zeros(1, 2)

    def forward(self, image, place):
        seen = torch.relu(self.wide(image) + self.point(image)) * self.place(place)[:, :, None, None]
        return {"map": seen, "scores": (self.head(seen.mean((2, 3))), place + 1)}


def located(width):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Located(width)


class Line(nn.Module):
    example_inputs = torch.zeros(1, 4, 4)


class Counts(Line):
    def forward(self, x):
        steps = int(x.sum().item())  # counts
        while steps > 3:
            x, steps = x + 1, steps - 1
        return x


class Untranslated(Line):
    def forward(self, x):
        y = x @ x.transpose(1, 2)
        return torch.linalg.svd(y)[1]  # untranslated


class Decomposed(Line):
    def forward(self, x):
        return torch.special.bessel_j0(x) + 1  # decomposed


class Breaks(Line):
    def forward(self, x):
        return x.reshape(1, 3, 5)  # breaks


class Repeats(Line):
    def forward(self, x):
        return x + torch.ones(1, 4, 1).expand(len(x), -1, -1)  # repeats


class Folds(Line):
    def forward(self, x):
        return x.reshape(x.shape[0], 16).reshape(2, -1).reshape(-1, 4)  # folds
"""


@pytest.fixture(autouse=True)
def _package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users" / "deep").mkdir(parents=True)
    for folder in ("users", "users/deep"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "users" / "deep" / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    for name in [n for n in sys.modules if n.partition(".")[0] == "users"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)


def line_of(mark: str) -> str:
    """`nets.py:12` of the line that ends with this comment."""
    return f"nets.py:{next(i for i, line in enumerate(NETS.splitlines(), 1) if line.endswith(f'# {mark}'))} "


def worst(manifest: dict[str, Any]) -> float:
    """Error of the artifact where it ran, and of all that was proven in its place."""
    errors = [manifest["parity"]["max_abs_over_std"], *(p["max_abs_over_std"] for p in manifest["proofs"])]
    return max(e for e in errors if e is not None)


@pytest.mark.parametrize("name", sorted(targets()))
def test_two_inputs_and_three_outputs_on_every_target(edgevision: Command, name: str) -> None:
    """As a module, and its graph as a file without any code."""
    missing = targets()[name].create().why_not()
    if missing is not None:
        pytest.skip(missing.reason)
    model = ("--model", "users.deep.nets:located", "--model-arg", "width=4")
    ended = edgevision("export", *model, "--target", name, "--precision", "fp32", "--out", "out", "--json")
    assert ended.code == 0, ended.err
    manifest = ended.document["manifest"]
    assert [(i["name"], i["shape"]) for i in manifest["inputs"]] == [("input_0", [1, 3, 12, 9]), ("input_1", [1, 2])]
    assert [o["shape"] for o in manifest["outputs"]] == [[1, 4, 12, 9], [1, 5], [1, 2]]
    assert manifest["reparam"]["applied"], "the branches are one convolution"
    assert worst(manifest) < 1e-4
    (loading,) = (s for s in manifest["stages"] if s["name"] == "load")
    assert "the factory returned it in train mode: exported in eval mode" in loading["notes"]
    file = ("--model", "out/model.onnx", "--target", name, "--precision", "fp32")
    again = edgevision("export", *file, "--out", "again", "--json")
    assert again.code == 0, again.err
    entered = again.document["manifest"]
    assert (entered["inputs"], entered["outputs"]) == (manifest["inputs"], manifest["outputs"])
    assert worst(entered) < 1e-4


def test_their_batch_may_be_open_and_the_file_enters_again(edgevision: Command, tmp_path: Path) -> None:
    """The batch of both inputs is one; the bundle's graph, given as a file, takes the whole path once more."""
    model = ("--model", "users.deep.nets:located", "--model-arg", "width=4", "--batch", "1:2:4")
    ended = edgevision("export", *model, "--target", "ort", "--out", "first", "--json")
    assert ended.code == 0, ended.err
    again = ("--model", "first/model.onnx", "--batch", "1:2:4")
    assert edgevision("export", *again, "--target", "ort", "--out", "second").code == 0
    feeds = {"input_0": np.ones((3, 3, 12, 9), np.float32), "input_1": np.ones((3, 2), np.float32)}
    one, two = (load(tmp_path / folder)(feeds) for folder in ("first", "second"))
    assert [array.shape for array in one] == [(3, 4, 12, 9), (3, 5), (3, 2)]
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "missing a required argument: 'width'"),
        (["--model-arg", "width=4", "--model-arg", "depth=2"], "unexpected keyword argument 'depth'"),
    ],
)
def test_a_factory_that_is_called_wrongly(edgevision: Command, tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = edgevision("reparam", "users.deep.nets:located", *arguments, "--out", "out.onnx", "--json")
    assert ended.code == 2
    assert said in ended.error["reason"] and "--model-arg" in ended.error["mend"]
    assert leftovers(tmp_path) == ["users"]


@pytest.mark.parametrize(
    ("name", "code", "mark"),
    [("Counts", 4, "counts"), ("Untranslated", 4, "untranslated"), ("Decomposed", 4, "decomposed"), ("Breaks", 3, "breaks")],
)  # fmt: skip
def test_the_line_that_breaks_is_named(edgevision: Command, tmp_path: Path, name: str, code: int, mark: str) -> None:
    ended = edgevision("reparam", f"users.deep.nets:{name}", "--out", "out.onnx", "--json")
    assert ended.code == code, ended.err
    assert line_of(mark) in ended.error["reason"]
    assert leftovers(tmp_path) == ["users"]


@pytest.mark.parametrize("name", ["Repeats", "Folds"])
def test_the_line_that_fixes_an_open_batch_is_named(edgevision: Command, tmp_path: Path, name: str) -> None:
    arguments = ("export", "--model", f"users.deep.nets:{name}", "--target", "onnx", "--out", "out", "--json")
    ended = edgevision(*arguments, "--batch", "1:2:4")
    assert ended.code == 4, ended.err
    assert "it fixes the batch to 2, at" in ended.error["reason"] and line_of(name.lower()) in ended.error["reason"]
    assert "x.shape" in ended.error["mend"] and "symbolic_shapes" not in ended.err
    assert leftovers(tmp_path) == ["users"]
    assert edgevision(*arguments, "--batch", "2").code == 0
