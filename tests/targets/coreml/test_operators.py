"""EvSelectiveScan, EvDWT and EvIDWT in MIL, against the operators' own float64 references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coreml_parity import Array, evaluated, node_model

from edgevision.ops.operator import operators
from edgevision.proof import difference
from edgevision.targets.coreml.evaluator import Evaluator
from edgevision.targets.coreml.lowering import selective_scan
from edgevision.targets.coreml.package import PackageOptions, convert, save


def error_of(
    op: str,
    inputs: Sequence[Array | None],
    fixed: Sequence[int],
    attributes: Mapping[str, Any],
    folder: Path,
    **options: Any,
) -> float:
    model = node_model(op, inputs, fixed, attributes)
    operator = operators()[op]
    wide = [None if x is None else x.astype(np.float64) for x in inputs]
    (reference,) = operator.reference(wide, operator.attribute_values(attributes))
    feeds = {
        tensor.name: array
        for index, (tensor, array) in enumerate(zip(operator.inputs, inputs, strict=False))
        if array is not None and index not in fixed
    }
    (result,) = evaluated(model, feeds, folder, **{"precision": "fp32", **options})
    return difference(reference, result).max_abs_over_std


@dataclass(frozen=True)
class Scan:
    """A selective scan: sizes, attributes, which optional inputs it has, and how hard its numbers are."""

    groups: int = 1
    width: int = 6
    states: int = 1
    length: int = 37
    batch: int = 1
    reverse: tuple[int, ...] = (0,)
    shared: bool = False
    optional: bool = True
    softplus: bool = True
    hard: bool = False
    least: float = -3.0

    def inputs(self) -> list[Array | None]:
        g = np.random.default_rng(3)
        bt, k, d, n, length = self.batch, self.groups, self.width, self.states, self.length

        def normal(*shape: int) -> Array:
            return g.standard_normal(shape).astype(np.float32)

        delta = (g.uniform(0, 20, (bt, k * d, length)) if self.hard else normal(bt, k * d, length)).astype(np.float32)
        a = -np.exp(g.uniform(self.least, 3.9 if self.hard else 1, (k * d, n))).astype(np.float32)
        u = normal(bt, d if self.shared else k * d, length)
        b, c = normal(bt, k, n, length), normal(bt, k, n, length)
        if not self.optional:
            return [u, delta, a, b, c]
        return [u, delta, a, b, c, 0.1 * normal(k * d), 0.3 * normal(k * d), normal(bt, k * d, length)]

    def attributes(self) -> dict[str, Any]:
        return {"delta_softplus": int(self.softplus), "reverse": self.reverse}


SCANS = {
    "one group, one state": Scan(),
    "bare": Scan(optional=False, softplus=False, hard=True),
    "two directions": Scan(groups=2, reverse=(0, 1)),
    "four directions, many states": Scan(groups=4, states=4, reverse=(0, 0, 1, 1)),
    "alternating directions, a batch": Scan(groups=3, states=2, batch=2, reverse=(1, 0, 1)),
    "one input for all groups": Scan(groups=4, states=2, reverse=(0, 1, 0, 1), shared=True),
    "one input for all groups, a batch": Scan(groups=2, batch=2, shared=True),
    "one step": Scan(length=1),
    "a power of two": Scan(length=64, states=3),
    "hard": Scan(groups=2, states=4, length=64, reverse=(0, 1), hard=True, softplus=False),
}
_FIXED = (2, 5, 6)


#: Both forms are given the same tensors, so what only prepares them is tried with one.
BOTH = ("bare", "two directions", "alternating directions, a batch", "one step", "a power of two", "hard")


@pytest.mark.parametrize(
    ("name", "form"), [*((name, "log depth") for name in SCANS), *((name, "radix 8") for name in BOTH)]
)
def test_scan_equals_its_reference(name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if form == "radix 8":
        monkeypatch.setattr(selective_scan, "LARGE", 0)
    scan = SCANS[name]
    error = error_of("EvSelectiveScan", scan.inputs(), _FIXED, scan.attributes(), tmp_path)
    assert error < (1e-4 if scan.hard else 1e-5)


def test_scan_whose_parameters_are_computed(tmp_path: Path) -> None:
    scan = SCANS["two directions"]
    assert error_of("EvSelectiveScan", scan.inputs(), (), scan.attributes(), tmp_path) < 1e-5


@pytest.mark.parametrize("form", ["log depth", "radix 8"])
@pytest.mark.parametrize(("least", "tolerance"), [(-0.5, 2e-2), (-3.0, 5e-2)], ids=["short memory", "long memory"])
def test_scan_holds_in_fp16(
    least: float, tolerance: float, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "radix 8":
        monkeypatch.setattr(selective_scan, "LARGE", 0)
    scan = Scan(groups=2, states=2, length=144, reverse=(0, 1), least=least)
    error = error_of("EvSelectiveScan", scan.inputs(), _FIXED, scan.attributes(), tmp_path, precision="fp16")
    assert error < tolerance


def test_the_test_sees_the_recurrence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selective_scan, "_scanned", lambda a, x, backward: x)
    scan = SCANS["one group, one state"]
    assert error_of("EvSelectiveScan", scan.inputs(), _FIXED, scan.attributes(), tmp_path) > 1e-2


def scan_operations(scan: Scan, folder: Path) -> list[Any]:
    model = node_model("EvSelectiveScan", scan.inputs(), _FIXED, scan.attributes())
    path = save(convert(model, PackageOptions()), folder / "scan.mlpackage")
    return list(Evaluator(path).program.main.operations)


def test_operations_grow_with_the_logarithm_of_the_length(tmp_path: Path) -> None:
    short, long = (len(scan_operations(Scan(length=length), tmp_path)) for length in (64, 1024))
    assert long - short <= 4 * 8  # four more levels, eight operations each


def test_every_tensor_of_the_scan_has_at_most_four_axes_and_is_half(tmp_path: Path) -> None:
    operations = scan_operations(Scan(groups=4, states=4, reverse=(0, 0, 1, 1)), tmp_path)
    kinds = [kind for operation in operations for _, kind in operation.outputs]
    assert all(len(kind.dims or ()) <= 4 for kind in kinds)
    assert {kind.dtype for kind in kinds[:-1] if kind.dtype != "bool"} <= {"fp16", "fp32"}
    computing = [o for o in operations if o.kind not in ("cast", "reshape")]
    assert all(kind.dtype == "fp16" for operation in computing for _, kind in operation.outputs)
    assert "reverse" not in {operation.kind for operation in operations}  # no flip is made


def filters(k: int, channels: int, shared: bool) -> Array:
    g = np.random.default_rng(k)
    return (g.standard_normal((4 if shared else 4 * channels, 1, k, k)) / k).astype(np.float32)


@pytest.mark.parametrize("mode", ["zero", "periodization"])
@pytest.mark.parametrize(("k", "height", "width"), [(2, 8, 8), (2, 7, 9), (4, 9, 10), (8, 7, 12)])
@pytest.mark.parametrize("shared", [False, True])
def test_dwt_equals_its_reference(mode: str, k: int, height: int, width: int, shared: bool, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, height, width)).astype(np.float32)
    assert error_of("EvDWT", [x, filters(k, 3, shared)], (1,), {"mode": mode}, tmp_path) < 1e-5


@pytest.mark.parametrize("mode", ["zero", "periodization"])
@pytest.mark.parametrize(
    ("k", "height", "width", "crop"), [(2, 4, 4, (0, 0)), (2, 4, 5, (1, 1)), (4, 6, 5, (0, 1)), (8, 7, 6, (1, 0))]
)
def test_idwt_equals_its_reference(
    mode: str, k: int, height: int, width: int, crop: tuple[int, int], tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, height, width)).astype(np.float32)
    attributes = {"mode": mode, "crop": crop}
    assert error_of("EvIDWT", [x, filters(k, 3, False)], (1,), attributes, tmp_path) < 1e-5


def test_wavelets_are_one_convolution_each(tmp_path: Path) -> None:
    x = np.zeros((1, 3, 9, 8), np.float32)
    model = node_model("EvDWT", [x, filters(2, 3, False)], (1,), {"mode": "zero"})
    path = save(convert(model, PackageOptions(precision="fp32")), tmp_path / "w.mlpackage")
    assert [o.kind for o in Evaluator(path).program.main.operations] == ["conv", "reshape"]
