"""Which TensorRT is taken, what it can build for, and one that is installed and does not load."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import onnx_ir as ir
import pytest
from nets import needs_rtx

from edgevision.errors import TargetError, UsageError
from edgevision.targets.target import WhyNot
from edgevision.targets.tensorrt import TARGET, TensorRT
from edgevision.targets.tensorrt import flavor as module
from edgevision.targets.tensorrt.flavor import FLAVORS, check_capabilities, choose


@pytest.mark.parametrize(
    ("capability", "mend"), [("8.7", "Jetson Orin"), ("9.0", "--flavor enterprise"), ("5.2", "use one of 7.5, 8.0")]
)
def test_a_capability_rtx_does_not_have_is_refused_with_what_to_use(capability: str, mend: str) -> None:
    with pytest.raises(TargetError) as raised:
        check_capabilities(FLAVORS["rtx"], ["8.6", capability])
    assert raised.value.thing == f"--compute-capability {capability}"
    assert mend in raised.value.mend


def test_tensorrt_cannot_be_told_a_capability() -> None:
    with pytest.raises(TargetError, match="builds for the GPU of the machine"):
        check_capabilities(FLAVORS["enterprise"], ["8.6"])


def test_a_capability_that_is_none_is_a_usage_error(plain: ir.Model, bundle: Path) -> None:
    if find_spec("tensorrt_rtx") is None:
        pytest.skip("TensorRT for RTX is not installed")
    with pytest.raises(UsageError, match="'sm_86' is not a compute capability"):
        TensorRT(compute_capability="8.9,sm_86").build(plain, bundle)


def test_rtx_goes_first_and_a_flavor_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"tensorrt_rtx", "tensorrt"}
    monkeypatch.setattr(module, "find_spec", lambda name: object() if name in here else None)
    assert choose(None) is FLAVORS["rtx"]
    assert choose("enterprise") is FLAVORS["enterprise"]
    here.discard("tensorrt_rtx")
    assert choose(None) is FLAVORS["enterprise"]
    missing = choose("rtx")
    assert isinstance(missing, WhyNot)
    assert missing.mend == "pip install 'edgevision[trt]'"
    here.clear()
    missing = TensorRT().why_not()
    assert missing is not None
    assert missing.reason == "TensorRT for RTX or TensorRT is not installed"


def test_an_unknown_flavor_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="rtx, enterprise"):
        choose("trtx")


def test_a_tensorrt_that_cannot_load_is_told_with_the_loaders_words(
    plain: ir.Model, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "site" / "tensorrt"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(broken.parent))
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    with pytest.raises(TargetError, match=r"it is installed and cannot be loaded: libnvinfer\.so\.10: cannot open"):
        TensorRT(flavor="enterprise").build(plain, bundle)
    assert not (bundle / "model.engine").exists()


@needs_rtx
def test_the_parser_finds_the_library_that_the_wheel_ships_under_another_name() -> None:
    """Without the links the process ends when the parser meets a plugin; they must not touch the installed package."""
    code = (
        "from edgevision.targets.tensorrt.flavor import FLAVORS, import_flavor\n"
        "import_flavor(FLAVORS['rtx'])\n"
        "print(*[line.split()[-1] for line in open('/proc/self/maps') if 'libtensorrt' in line], sep='\\n')"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert any("libtensorrt_rtx.so.1" in line for line in done.stdout.splitlines())
    home = Path(find_spec("tensorrt_rtx_libs").submodule_search_locations[0])
    assert not (home / "libtensorrt_rtx.so").exists()


def test_the_registry_knows_the_target_without_importing_it() -> None:
    code = (
        "import sys\nfrom edgevision.targets.target import targets\nentry = targets()['trt']\nentry.create().why_not()\n"
        "print(sorted({'torch', 'onnx', 'numpy', 'triton', 'tensorrt_rtx'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
    assert TARGET.precisions == ("fp32", "fp16", "bf16", "int8")
