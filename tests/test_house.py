"""Rules of the house that no linter knows: sizes of files and functions, no machine's paths, nothing unfinished."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from workspace import LONGEST, ROOT

LONGEST_FILE = 300
LONGEST_FUNCTION = 60
#: Files that may be longer, each with its reason.
LONG_FILES: dict[str, str] = {}
#: Functions that may be longer: tables of cases and one dictionary each, with nothing to divide.
LONG_FUNCTIONS: dict[str, str] = {}
#: Tests whose subject raises when something is wrong.
RAISING = {"tests/targets/tensorrt/test_trt_admission.py:test_sound_graphs_are_admitted": "admission returns nothing"}

SOURCES = sorted(
    p
    for part in ("edgevision", "models", "calibration", "plugins")
    for p in (ROOT / part).rglob("*")
    if p.suffix in {".py", ".cc", ".h"}
)
PYTHON = [p for p in SOURCES if p.suffix == ".py"]
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_test_modules_have_names_of_their_own() -> None:
    """pytest imports them by name alone: of two that share one, the second is not collected."""
    names = [p.name for p in TESTS if p.name.startswith("test_")]
    assert sorted(n for n in set(names) if names.count(n) > 1) == []


def test_the_files_that_start_first_are_there() -> None:
    assert set(LONGEST) <= {p.name for p in TESTS}


def test_no_file_is_long() -> None:
    lengths = {name_of(p): len(p.read_text().splitlines()) for p in SOURCES}
    too_long = {name: n for name, n in lengths.items() if n >= LONGEST_FILE and name not in LONG_FILES}
    assert too_long == {}
    assert all(lengths.get(name, 0) >= LONGEST_FILE for name in LONG_FILES), "an exception is no longer needed"


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def test_no_function_is_long() -> None:
    """Its documentation left out."""
    too_long = {}
    for path in PYTHON:
        for function in functions(path):
            first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
            length = (function.end_lineno or 0) - first.lineno + 1
            name = f"{name_of(path)}:{function.name}"
            if length > LONGEST_FUNCTION and name not in LONG_FUNCTIONS:
                too_long[name] = length
    assert too_long == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [name_of(p) for p in PYTHON if not (ast.get_docstring(ast.parse(p.read_text())) or "").strip()] == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_unfinished(word: str) -> None:
    assert [name_of(path) for path in SOURCES if re.search(rf"\b{word}\b", path.read_text())] == []


def test_no_broad_except_that_swallows() -> None:
    """`except Exception` may only be where it raises again with the user's own code named, or at the very top."""
    for path in PYTHON:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ExceptHandler):
                continue
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception")
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            assert not broad or raises or name_of(path) == "edgevision/cli/main.py", name_of(path)


def test_no_machines_path_is_committed() -> None:
    """Ours or anybody's."""
    for path in [*SOURCES, *TESTS, *ROOT.glob("*.*"), *ROOT.glob("docs/*")]:
        if path.is_file() and path.name != ".git" and path != Path(__file__).resolve():
            found = re.search(r"(?<![\w.])/(work|root|home/\w+|Users/\w+)/", path.read_text(errors="replace"))
            assert found is None, f"{name_of(path)} has {found.group()}" if found else ""


def test_no_module_is_called_utils() -> None:
    assert [name_of(p) for p in PYTHON if re.search(r"util|helper|misc|common", p.stem)] == []


def test_every_test_asserts_something() -> None:
    """By `assert`, or by `pytest.raises`, or through a function of its file that does."""
    idle = []
    for path in TESTS:
        found = {f.name: ast.dump(f) for f in functions(path)}
        checks = {name for name, body in found.items() if _checks(body)}
        for name, body in found.items():
            if name.startswith("test_") and name not in checks and not any(f"id='{c}'" in body for c in checks):
                idle.append(f"{name_of(path)}:{name}")
    assert set(idle) <= set(RAISING)


def _checks(body: str) -> bool:
    return any(mark in body for mark in _MARKS)


#: An assertion, or a call that raises when something is wrong.
_MARKS = (
    "Assert(",
    "attr='raises'",
    "attr='fail'",
    "assert_",
    "attr='check_model'",
    "attr='gradcheck'",
    "attr='opcheck'",
)
