"""The bundle's README shows how to run it without edgevision. Its code is taken out of the page and run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from workspace import ROOT

HEADERS = (Path("/usr/include/onnxruntime"), ROOT / "build" / "ort-headers" / "include")


@pytest.fixture(scope="module")
def bundle(scanner_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, moved: nothing in a bundle may know where it was made."""
    return Path(shutil.copytree(scanner_bundle, tmp_path_factory.mktemp("moved") / "bundle"))


def snippet(bundle: Path, language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def test_python(bundle: Path) -> None:
    """Isolated from the checkout: the page's code needs numpy and onnxruntime alone."""
    code = snippet(bundle, "python")
    assert "edgevision" not in code.replace("libedgevision_ops.so", "")
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=bundle, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    shapes, gap = done.stdout.rsplit(maxsplit=1)
    assert "(1, 10)" in shapes
    assert float(gap) < 1e-4


def test_python_without_the_kernels(bundle: Path) -> None:
    """The page says that plain ONNX Runtime runs the graph too."""
    lines = [line for line in snippet(bundle, "python").splitlines() if "register_custom_ops" not in line]
    done = subprocess.run(
        [sys.executable, "-I", "-c", "\n".join(lines)], cwd=bundle, capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split()[-1]) < 1e-4


def runtime_library() -> Path:
    ort = pytest.importorskip("onnxruntime")
    found = sorted((Path(ort.__file__).parent / "capi").glob("libonnxruntime.so*"))
    if not found:
        pytest.skip("the onnxruntime package has no shared library to link with")
    return found[-1]


def test_cpp(bundle: Path, tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    headers = next((h for h in HEADERS if (h / "onnxruntime_cxx_api.h").is_file()), None)
    if compiler is None or headers is None:
        pytest.skip("no C++ compiler, or no ONNX Runtime headers (plugins/fetch_ort_headers.sh)")
    library = runtime_library()
    (tmp_path / "main.cc").write_text(snippet(bundle, "cpp"))
    # The headers may be older than the library, which then serves their API version: they ask for it by number.
    subprocess.run(
        [compiler, "-std=c++17", "main.cc", f"-I{headers}", str(library), f"-Wl,-rpath,{library.parent}", "-o", "main"],
        cwd=tmp_path, check=True, timeout=300,
    )  # fmt: skip
    soname = tmp_path / "libonnxruntime.so.1"
    soname.symlink_to(library)
    done = subprocess.run(
        [tmp_path / "main"], cwd=bundle, capture_output=True, text=True, check=False,
        env={"LD_LIBRARY_PATH": str(tmp_path)}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    import edgevision as ev

    (expected,) = ev.load(bundle)(np.full((1, 3, 32, 32), 0.5, np.float32))
    assert float(done.stdout.split()[0]) == pytest.approx(float(expected.flat[0]), abs=1e-4)


def test_the_page_tells_what_a_reader_needs(bundle: Path) -> None:
    text = (bundle / "README.md").read_text()
    for part in ("verified", "`image`", "1 x 3 x 32 x 32", "EvSelectiveScan", "mean", "the factory's own"):
        assert part in text
    assert str(ROOT) not in text


def test_nothing_in_a_bundle_names_the_machine(bundle: Path) -> None:
    import socket

    for file in bundle.rglob("*"):
        if file.suffix in (".json", ".md", ".onnx"):
            content = file.read_bytes()
            for secret in (str(ROOT), str(Path.home()) + "/", socket.gethostname()):
                assert secret.encode() not in content, file.name
