"""A wheel, built and installed where nothing else of ours is, works from another folder and adds one package only."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from workspace import ROOT, alone

PROBE = """
import importlib, json, sys
from pathlib import Path
import edgevision
from edgevision import native
from edgevision.registry import variants

absent = []
for name in ("models", "calibration", "plugins"):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        absent.append(name)
for name in ("models.mobilemamba", "calibration", "plugins.triton"):
    importlib.import_module(f"edgevision.{name}")
print(json.dumps({
    "home": str(Path(edgevision.__file__).parent),
    "absent": absent,
    "cards": len(variants()),
    "weightless": [
        v.name for v in variants().values()
        if v.trained and not (Path(edgevision.__file__).parent / "models" / "weights" / f"{v.name}.pth").is_file()
    ],
    "library": str(native.library_path()),
    "kernels": None if native.why_not() is None else native.why_not().reason,
    "typed": (Path(edgevision.__file__).parent / "py.typed").is_file(),
}))
"""


@pytest.fixture(scope="module", params=["native", "pure"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, list[str]]:
    """(kind, the environment's Python, names in its site-packages that the wheel brought)."""
    pytest.importorskip("scikit_build_core")
    if request.param == "native":
        from edgevision import native

        if native.library_path() is None:
            pytest.skip("the kernel library cannot be built here")
    folder = tmp_path_factory.mktemp(request.param)
    wheel = _build(folder, pure=request.param == "pure")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    site = Path(_ask(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    before = {p.name for p in site.iterdir()}
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)  # what `pip install --no-deps` does with a wheel that has no scripts beside its own
    added = sorted({p.name for p in site.iterdir()} - before)
    # What edgevision depends on is not under test, and is not downloaded: the environment of the tests lends it.
    (site / "zz_lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return request.param, python, added


def _build(folder: Path, *, pure: bool) -> Path:
    """Of what the installation has left in its build folder: kernels are compiled again where they have changed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    headers = ROOT / "build" / "ort-headers" / "include"
    if headers.is_dir():
        environment.setdefault("ONNXRUNTIME_INCLUDE_DIR", str(headers))
    if pure:
        environment["EDGEVISION_NO_NATIVE"] = "1"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    with alone("native"):
        done = subprocess.run(
            [*command, "--wheel-dir", str(folder), str(ROOT)],
            env=environment, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    (wheel,) = folder.glob("*.whl")
    return wheel


def _ask(python: Path, code: str, folder: Path = Path("/")) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "EDGEVISION_OPS_LIBRARY")}
    done = subprocess.run(
        [python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_adds_one_package_only(installed: tuple[str, Path, list[str]]) -> None:
    from edgevision import __version__

    assert installed[2] == ["edgevision", f"edgevision-{__version__}.dist-info"]


def test_works_from_another_folder(installed: tuple[str, Path, list[str]]) -> None:
    import json

    kind, python, _ = installed
    answer = json.loads(_ask(python, PROBE))
    assert Path(answer["home"]).is_relative_to(python.parent.parent)
    assert answer["absent"] == ["models", "calibration", "plugins"]
    assert answer["cards"] >= 6 and answer["typed"]
    assert answer["weightless"] == []
    if kind == "native":
        assert answer["kernels"] is None
        assert Path(answer["library"]).is_relative_to(answer["home"])
    else:
        assert answer["library"] == "None" and answer["kernels"]


RUN = """
import sys
from edgevision.cli.main import main
sys.argv = ["edgevision", "export", "--model", "tiny:scanner", "--target", "ort", "--out", sys.argv[1], "--json"]
main()
"""


def test_exports(installed: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    """With the kernels of the wheel, or, in the pure one, through the bodies."""
    import json
    import shutil

    kind, python, _ = installed
    shutil.copy(ROOT / "tests" / "tiny.py", tmp_path)
    script = RUN.replace("sys.argv[1]", repr(str(tmp_path / "out")))
    manifest = json.loads(_ask(python, script, tmp_path))["manifest"]
    assert manifest["parity"]["status"] == "verified"
    assert (manifest["artifact"]["library"] is not None) == (kind == "native")
    assert any("bodies serve" in warning for warning in manifest["warnings"]) == (kind == "pure")


def test_the_wheel_holds_no_tests_and_no_sources_of_kernels(installed: tuple[str, Path, list[str]]) -> None:
    site = Path(_ask(installed[1], "import edgevision, pathlib; print(pathlib.Path(edgevision.__file__).parent)"))
    names = {p.relative_to(site).as_posix() for p in site.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert not [n for n in names if n.endswith((".cc", ".h", "CMakeLists.txt")) or n.startswith("tests")]
    assert {"models/mobilemamba.toml", "models/mobilemamba.py", "calibration/__init__.py", "py.typed"} <= names
