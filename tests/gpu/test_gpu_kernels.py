"""Our kernels, started by the same code as a plugin's `enqueue`, on a GPU. `make gpu-test` runs these."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgevision.proof import worst_difference
from edgevision.targets.tensorrt import TensorRT, driver, gpu_check

_missing = driver.why_no_gpu()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(_missing is not None, reason=_missing.reason if _missing else ""),
    pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed"),
]


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> Iterator[None]:
    with gpu_check.device():
        yield


@pytest.mark.parametrize("size", gpu_check.SCANS, ids=str)
@pytest.mark.parametrize(("data", "bound"), [("fp32", 2e-5), ("fp16", 5e-3)])
def test_scan_is_right_at_real_sizes(size: tuple, data: str, bound: float) -> None:
    call = gpu_check.scan_call((1, *size[1:]), data)
    assert gpu_check.compare("EvSelectiveScan", call).max_abs_over_std <= bound


@pytest.mark.parametrize("reverse", [(1,), (0, 1), (0, 1, 1, 0)], ids=str)
def test_scan_directions(reverse: tuple) -> None:
    call = gpu_check.scan_call((2, 448, 1, 1500), reverse=reverse)
    assert gpu_check.compare("EvSelectiveScan", call).max_abs_over_std <= 2e-5


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize(("data", "bound"), [("fp32", 1e-5), ("fp16", 5e-3)])
def test_wavelets(index: int, data: str, bound: float) -> None:
    operator, call = gpu_check.wavelet_calls(data)[index]
    assert gpu_check.compare(operator, call).max_abs_over_std <= bound


def test_the_scan_reaches_most_of_the_copys_bandwidth() -> None:
    timing = gpu_check.time_scan((64, 448, 1, 1024), gpu_check.copy_bandwidth())
    assert timing.share_of_copy >= 0.7, f"{timing}"


@pytest.mark.skipif(find_spec("mamba_ssm") is None, reason="mamba_ssm is not installed")
def test_the_scan_is_no_slower_than_mamba_ssm() -> None:
    timing = gpu_check.time_scan((8, 384, 16, 3136), gpu_check.copy_bandwidth())
    rival = timing.rivals["mamba_ssm"]
    assert rival is not None
    assert timing.milliseconds <= rival, f"{timing}"


_not_here = TensorRT().why_not_run()


@pytest.mark.skipif(_not_here is not None, reason=_not_here.reason if _not_here else "")
def test_an_engine_runs_and_equals_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime as ort

    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "targets" / "tensorrt"))
    from nets import scan_net

    model = scan_net()
    artifact = TensorRT().build(model, tmp_path)
    assert artifact.runnable
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 7)).astype(np.float32)
    expected = ort.InferenceSession(ir.to_proto(model).SerializeToString()).run(None, {"x": x})
    with TensorRT().load(artifact.path) as runner:
        for replayed in (False, True):
            results = runner(x)
            assert runner.stages.cuda_graph == replayed
            assert worst_difference(expected, results).max_abs_over_std <= 1e-4
