"""Manifests survive the way to disk and back, and later versions may add keys."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from edgevision.errors import DataError
from edgevision.manifest import Manifest, as_json, read_manifest


def test_there_and_back(scanner_bundle: Path) -> None:
    path = scanner_bundle / "manifest.json"
    manifest = read_manifest(path)
    assert isinstance(manifest, Manifest)
    assert manifest.to_json() == path.read_text()


def test_keys_of_later_versions_are_passed_over(scanner_bundle: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(scanner_bundle / "manifest.json", tmp_path))
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "mood": "good"}))
    assert as_json(read_manifest(path)) == document


@pytest.mark.parametrize("key", ["model", "target", "graph", "artifact", "stages", "parity"])
def test_what_must_be_there(scanner_bundle: Path, tmp_path: Path, key: str) -> None:
    path = Path(shutil.copy(scanner_bundle / "manifest.json", tmp_path))
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=f"incomplete.*{key}"):
        read_manifest(path)


def test_json_has_no_infinities() -> None:
    values = {"a": float("nan"), "b": [float("inf"), -float("inf"), 1.5], "c": (Path("x"), None)}
    assert as_json(values) == {"a": None, "b": [None, None, 1.5], "c": ["x", None]}


def test_every_stage_hands_its_result_to_the_next(scanner_bundle: Path) -> None:
    """The hashes form a chain, from the weights to the artifact on the disk."""
    manifest = read_manifest(scanner_bundle / "manifest.json")
    stages = {record.name: record for record in manifest.stages}
    chain = ["load", "capture", "reparam", "passes"]
    for before, after in pairwise(chain):
        assert set(stages[before].outputs) & set(stages[after].inputs), f"{before} to {after}"
    assert list(stages["compile"].inputs) == [manifest.graph.sha256]
    assert list(stages["compile"].outputs) == [manifest.artifact["sha256"]]
    assert all(0 <= record.proof_seconds <= record.seconds for record in manifest.stages)
