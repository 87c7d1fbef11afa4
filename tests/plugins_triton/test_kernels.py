"""The Triton kernels under the interpreter, against the operators' float64 references."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from calls import dwt, idwt, scan

from edgevision.cache import Cache
from edgevision.errors import GraphError
from edgevision.targets.tensorrt.kernels import Kernels
from edgevision.targets.tensorrt.prepare import PluginNode
from edgevision.targets.tensorrt.process import Worker, run_worker

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")

PACKAGE = "edgevision.plugins.triton"
CASES = {
    **{f"scan L={n} N={s}": scan(n, s) for n in (1, 7, 49, 196, 1024) for s in (1, 16)},
    "scan forward": scan(49, 16, reverse=(0,)),
    "scan backward": scan(300, 2, reverse=(1,)),
    "scan of four groups": scan(50, 1, reverse=(0, 1, 0, 1), channels=2),
    "scan with a shared input": scan(81, 3, shared=True),
    "scan without skip and bias": scan(60, 1, skip=False, bias=False),
    "scan with a gate": scan(65, 1, gate=True),
    "scan with raw steps": scan(100, 2, softplus=0),
    "scan of two blocks of the longest kind": scan(1100, reverse=(1,), channels=2),
    "scan in half precision": scan(150, 2, data="fp16"),
    **{f"dwt {k} taps {m}": dwt(13, 10, k, m) for k in (2, 4) for m in ("zero", "periodization")},
    "dwt of a plane smaller than the filter": dwt(3, 5, 6, "periodization"),
    "dwt with shared filters": dwt(7, 7, 4, shared=True),
    "dwt in several blocks": dwt(70, 67, 2),
    "dwt in half precision": dwt(9, 9, 4, data="fp16"),
    **{f"idwt {k} taps {m}": idwt(7, 5, k, m, crop=(1, 0)) for k in (2, 4) for m in ("zero", "periodization")},
    "idwt of a plane smaller than the filter": idwt(2, 3, 6, "periodization", crop=(1, 1)),
    "idwt with shared filters": idwt(5, 5, 4, shared=True),
    "idwt in several blocks": idwt(35, 34, 2, crop=(0, 1)),
    "idwt in half precision": idwt(5, 5, 4, data="fp16"),
}


def _interpret(package: str, cases: list, folder: Path) -> list[dict[str, float]]:
    worker = Worker(
        what="the kernels' proof",
        module="edgevision.targets.tensorrt.interpret",
        log=folder / "log",
        timeout=900,
        environment={"TRITON_INTERPRET": "1"},
    )
    asked = [{"operator": operator, "call": call.as_json()} for operator, call in cases]
    found: list[dict[str, float]] = run_worker(worker, {"package": package, "cases": asked})["results"]
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    found = _interpret(PACKAGE, list(CASES.values()), tmp_path_factory.mktemp("interpreter"))
    return dict(zip(CASES, found, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_kernel_keeps_its_bound(name: str, results: dict[str, dict[str, float]]) -> None:
    assert results[name]["max_abs_over_std"] <= results[name]["bound"]


def test_float32_bounds_are_tight(results: dict[str, dict[str, float]]) -> None:
    """1e-5 of the spread, or twice the error of a plain float32 loop; no call is hard enough to loosen that far."""
    for name, (_, call) in CASES.items():
        if call.types[0] == "fp32":
            assert results[name]["bound"] <= 1e-4, name


def _plant(folder: Path, wrong: dict[str, tuple[str, str]]) -> str:
    """A package of kernels, some of them spoilt: kernel -> the right text and what takes its place."""
    package = folder / "planted"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for kernel in ("selective_scan", "dwt", "idwt"):
        text = Path(find_spec(f"{PACKAGE}.{kernel}").origin).read_text()
        right, spoilt = wrong.get(kernel, ("", ""))
        assert not right or text.count(right) == 1, "the line to spoil is gone"
        (package / f"{kernel}.py").write_text(text.replace(right, spoilt) if right else text)
    return package.name


LEFT = "left = 2 * (position % out_width) - LEAD"


def test_wrong_kernels_leave_their_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No carry from block to block, a window that is off by one, taps of one parity."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    wrong = {
        "selective_scan": ("state += decay * before[:, None]", "state += 0.0 * decay"),
        "dwt": (LEFT, f"{LEFT} + 1"),
        "idwt": ("m = bottom % 2", "m = 0 * bottom"),
    }
    for result in _interpret(_plant(tmp_path, wrong), [scan(1100), dwt(9, 9, 4), idwt(9, 9, 4)], tmp_path):
        assert result["max_abs_over_std"] > 10 * result["bound"]


def test_a_planted_wrong_kernel_fails_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operands of the recurrence swapped: right when evaluated from left to right, wrong as the tree that a GPU takes."""
    package = _plant(tmp_path, {"selective_scan": ("decay * first_state + state", "first_decay * state + first_state")})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    operator, call = scan(40)
    kernels = Kernels(package=package, cache=Cache(root=None), timeout=300)
    node = PluginNode(name="node", operator=operator, call=call)
    with pytest.raises(GraphError, match=f"kernel of {operator}.*differs from the float64 reference"):
        kernels.prove([node], tmp_path, None)


def test_a_proof_is_kept_by_the_kernels_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def worker(_worker: Worker, request: dict, _on_progress: object) -> dict:
        asked.append(len(request["cases"]))
        return {"results": [{"max_abs_over_std": 1e-7, "relative_l2": 1e-8, "bound": 1e-5}] * asked[-1]}

    monkeypatch.setattr("edgevision.targets.tensorrt.kernels.run_worker", worker)
    kernels = Kernels(package=PACKAGE, cache=Cache(root=tmp_path / "cache"), timeout=300)
    nodes = [PluginNode(name="a", operator=operator, call=call) for operator, call in (dwt(5, 5, 2), idwt(3, 3, 2))]
    first = kernels.prove(nodes, tmp_path, None)
    assert kernels.prove([*nodes, *nodes], tmp_path, None) == first
    assert asked == [2], "nothing is proven twice"
    monkeypatch.setattr("edgevision.targets.tensorrt.kernels._source_hash", lambda package, kernel: "another kernel")
    kernels.prove(nodes, tmp_path, None)
    assert asked == [2, 2]
