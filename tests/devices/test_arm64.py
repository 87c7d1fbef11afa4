"""An aarch64 Linux over real ssh (see arm64.py): parity there, and the NEON kernels inside ONNX Runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from arm64 import LIBRARY, running_arm64, stale
from onnx import helper
from small_bundle import small_bundle
from sshd import Sshd

from edgevision.devices.device import Finished
from edgevision.devices.kit import OUTPUTS, Kit, push_kit
from edgevision.devices.local import ProfileOptions
from edgevision.devices.named import NamedDevice, open_device
from edgevision.devices.remote_profile import profile_device
from edgevision.devices.runner import kernel_library, read_tensors, runner_path
from edgevision.errors import DeviceError
from edgevision.proof import difference
from edgevision.stages.samples import Samples

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS / "native"), str(TESTS / "ops")]
RUNNER, KERNELS = runner_path("aarch64"), kernel_library("aarch64")
pytestmark = pytest.mark.skipif(
    RUNNER is None or KERNELS is None, reason="no runner for aarch64 (make runner builds it)"
)


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    changed = stale(KERNELS, RUNNER) if KERNELS and RUNNER else ""
    if changed:
        pytest.skip(f"{changed} is newer than what `make runner` built")
    with running_arm64(tmp_path_factory.mktemp("arm64")) as running:
        yield running


def named(server: Sshd, **more: object) -> NamedDevice:
    address = f"ssh://device@127.0.0.1:{server.port}"
    options = {"onnxruntime": LIBRARY, "ssh_config": str(server.config), "emulated": True, **more}
    return NamedDevice(name="arm64", address=address, **options)  # type: ignore[arg-type]


def test_profile_is_whole_and_never_called_stable(arm64: Sshd, tmp_path: Path) -> None:
    document = profile_device(small_bundle(tmp_path / "small"), named(arm64), ProfileOptions(runs=12, per_op=True))
    assert document["environment"]["before"]["probe"]["arch"] == "aarch64"
    assert document["parity"]["max_abs_over_std"] < 1e-5
    assert len(document["latency_ms"]["samples"]) == document["runs"] == 12
    assert (document["verdict"], document["device"]["emulated"]) == ("emulated", True)
    assert {row["op"] for row in document["per_op"]} >= {"Conv"}
    assert sum(document["placement"].values()) >= 2
    assert list(arm64.tmp.iterdir()) == []


def test_every_neon_kernel_is_its_reference(arm64: Sshd, tmp_path: Path) -> None:
    """All cases as the nodes of one model without bodies: it can only run where the kernels do."""
    from kernel_cases import cases

    (tmp_path / "model.onnx").write_bytes(together())
    finished, outputs = run(arm64, tmp_path, kernels=KERNELS)
    assert finished.code == 0, finished.errors
    wrong = {}
    for (name, case), output in zip(cases().items(), outputs, strict=True):
        distance = difference(case.wanted, output).max_abs_over_std
        if not distance <= case.tolerance:
            wrong[name] = (distance, case.tolerance)
    assert not wrong
    refused, _ = run(arm64, tmp_path, kernels=None)
    assert refused.code == 65


def test_a_runner_for_another_processor_does_not_start(arm64: Sshd, tmp_path: Path) -> None:
    own = runner_path()
    if own is None:
        pytest.skip("this machine's own runner is not built")
    with pytest.raises(DeviceError, match=r"exit code 12[67]|signal") as caught:
        profile_device(small_bundle(tmp_path / "small"), named(arm64, runner=str(own)), ProfileOptions(runs=10))
    assert caught.value.mend


def together() -> bytes:
    from kernel_cases import cases
    from kernel_node import model

    nodes, inputs, outputs = [], [], []
    for number, case in enumerate(cases().values()):
        one = onnx.load_from_string(model(case.op, case.inputs, case.attributes))
        prefixed = onnx.compose.add_prefix_graph(one.graph, f"c{number}_")
        nodes += prefixed.node
        inputs += prefixed.input
        outputs += prefixed.output
    opsets = one.opset_import
    return bytes(
        helper.make_model(
            helper.make_graph(nodes, "all", inputs, outputs), opset_imports=opsets, ir_version=10
        ).SerializeToString()
    )


def run(server: Sshd, folder: Path, *, kernels: Path | None) -> tuple[Finished, list[np.ndarray]]:
    from kernel_cases import cases
    from kernel_node import feeds

    given = {
        f"c{number}_{name}": array
        for number, case in enumerate(cases().values())
        for name, array in feeds(case.op, case.inputs).items()
    }
    assert RUNNER is not None
    kit = Kit(
        runner=RUNNER,
        model=folder / "model.onnx",
        pushed=[kernels] if kernels else [],
        library=LIBRARY,
        kernels=kernels,
        provider="",
        cpu=None,
    )
    with open_device(named(server)) as device:
        push_kit(device, kit, Samples(feeds=[given], outputs=[[]], reference=""), folder)
        finished = device.run(kit.tracing_command(ProfileOptions(), runs=1), seconds=120, on_line=lambda _: None)
        if finished.code:
            return finished, []
        device.pull(OUTPUTS, folder / OUTPUTS)
    return finished, read_tensors(folder / OUTPUTS)
