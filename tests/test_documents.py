"""The pages about errors and files agree with the code they describe, and every link in a page leads somewhere."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest
from workspace import ROOT

from edgevision import errors
from edgevision.errors import EdgeError
from edgevision.latency import Latency
from edgevision.manifest import SCHEMA_VERSION, GraphInfo, Manifest, ModelInfo, Parity, Record

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, EdgeError)]


def section(page: str, title: str) -> str:
    """Text under a heading, up to the next heading of its level or above."""
    text = (ROOT / "docs" / page).read_text()
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,6}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {title}"
    return found.group(2)


def first_cells(text: str) -> list[str]:
    return [row.split("|")[1].strip() for row in text.splitlines() if row.startswith("| ") and "---" not in row][1:]


def keys(text: str) -> set[str]:
    return {key for cell in first_cells(text) for key in re.findall(r"`(\w+)`", cell)}


def test_every_kind_of_error_is_documented_with_its_code() -> None:
    rows = {
        int(row.split("|")[1]): row
        for row in section("errors.md", "Exit codes").splitlines()
        if re.match(r"\| \d", row)
    }
    for error in CLASSES:
        assert f"`{error.kind}` | `{error.__name__}`" in rows[error.exit_code]
    assert len({c.exit_code for c in CLASSES}) == len(CLASSES)
    assert {0, 1, 2, 3, 4, 5, 6, 7, 8, 70, 130, 141} == set(rows)


def test_the_codes_are_the_designs() -> None:
    assert {c.kind: c.exit_code for c in CLASSES} == {
        "defect": 70, "gate": 1, "usage": 2, "model": 3, "graph": 4, "target": 5, "device": 6, "data": 7, "output": 8,
    }  # fmt: skip


@pytest.mark.parametrize("error", [c for c in CLASSES if c is not EdgeError], ids=lambda c: c.__name__)
def test_every_kind_has_its_causes_and_mends(error: type[EdgeError]) -> None:
    assert first_cells(section("errors.md", f"{error.exit_code}, {error.kind}"))


def raised_classes() -> set[str]:
    """Names in `raise X(…)` and `return X(…)` over our sources."""
    found: set[str] = set()
    for path in (ROOT / "edgevision").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
                found.add(node.func.id)
    return found


def test_every_class_of_error_has_a_use() -> None:
    """Except the base, which stands for what nobody foresaw."""
    assert {c.__name__ for c in CLASSES} - {"EdgeError"} <= raised_classes()


def quoted_reasons() -> list[str]:
    """The words that the page quotes from messages, in pieces between its ellipses."""
    page = (ROOT / "docs" / "errors.md").read_text().split("## What each kind", 1)[1].split("## When a model")[0]
    cells = [cell for cell in first_cells(page) if cell.startswith("`")]
    phrases = [phrase for cell in cells for phrase in re.findall(r"`([^`]+)`", cell)]
    return [piece.strip() for p in phrases for piece in re.split(r"…|\d[\d.:]*|\(|\)", p) if len(piece.split()) >= 3]


def test_the_page_quotes_messages_that_exist() -> None:
    """A message that is reworded must be reworded on the page too."""
    code = "\n".join(p.read_text() for part in ("edgevision", "models") for p in (ROOT / part).rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", code)
    assert len(quoted_reasons()) > 30
    missing = [piece for piece in quoted_reasons() if piece.strip(", ") not in said]
    assert missing == []


@pytest.mark.parametrize(
    ("title", "documented"),
    [
        ("The document", Manifest),
        ("`model`", ModelInfo),
        ("`graph`", GraphInfo),
        ("`stages`", Record),
        ("`parity`", Parity),
        ("`latency_ms`", Latency),
    ],
)
def test_the_manifest_page_has_every_field(title: str, documented: type) -> None:
    assert keys(section("manifest.md", title)) == {f.name for f in dataclasses.fields(documented)}


def test_the_profile_page_has_every_key() -> None:
    """The keys as `profile_local` returns them; that a real document has these is tested with the command."""
    source = (ROOT / "edgevision" / "devices" / "local.py").read_text()
    function = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "profile_local")
    document = next(n.value for n in ast.walk(function) if isinstance(n, ast.Return) and isinstance(n.value, ast.Dict))
    returned = {k.value for k in document.keys if isinstance(k, ast.Constant)}
    assert keys(section("manifest.md", f"Profile, schema version {SCHEMA_VERSION}")) == returned


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    anchors = {anchor(title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        path, _, fragment = target.partition("#")
        if path.startswith(("http://", "https://", "mailto:")):
            continue
        assert not path or (page.parent / path).exists(), f"{page.name} links to {target}"
        assert path or fragment in anchors, f"{page.name} has no heading for #{fragment}"


def anchor(title: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_documents_named_in_messages_exist() -> None:
    for path in (ROOT / "edgevision").rglob("*.py"):
        for name in re.findall(r"docs/[\w./-]+\.md", path.read_text()):
            assert (ROOT / name).is_file(), f"{path.name} sends the reader to {name}"
