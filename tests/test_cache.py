"""The cache hits when nothing changed, misses when anything did, keeps its cap, and never serves half an entry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from workspace import ROOT, leftovers

from edgevision import environment
from edgevision.cache import Cache, default_cache, stage_key
from edgevision.hashing import state_sha256
from edgevision.manifest import as_json
from edgevision.proof import difference
from edgevision.spec import Batch, FactoryModel
from edgevision.stages import graph as graph_stages
from edgevision.stages.capture import CaptureOptions
from edgevision.stages.create import InputSpec
from edgevision.stages.graph import DeployGraph, deploy_graph
from edgevision.stages.load import Loaded, LoadOptions, load
from edgevision.stages.samples import run_graph, samples_of_module


def filler(size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / "data").write_bytes(b"x" * size) and None


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache", cap=1000)


def test_keeps_and_finds(cache: Cache) -> None:
    assert cache.get("a") is None
    cache.put("a", filler(10))
    entry = cache.get("a")
    assert entry is not None and (entry / "data").stat().st_size == 10
    assert cache.bytes() == 10


def test_the_cap_is_kept_and_the_least_recently_used_goes(cache: Cache) -> None:
    for index, key in enumerate("abc"):
        cache.put(key, filler(300))
        os.utime(cache.root / key, (index, index))  # type: ignore[operator]  # this cache has a root
    assert cache.get("a") is not None  # now the last used
    cache.put("d", filler(300))
    assert cache.bytes() <= cache.cap
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


@pytest.mark.parametrize("stop", [OSError, KeyboardInterrupt])
def test_an_entry_that_was_not_finished_is_no_entry(cache: Cache, stop: type[BaseException]) -> None:
    def half(folder: Path) -> None:
        filler(10)(folder)
        raise stop

    if stop is OSError:
        cache.put("a", half)
    else:
        with pytest.raises(stop):
            cache.put("a", half)
    assert cache.get("a") is None
    assert cache.root is not None and leftovers(cache.root) == []


def test_what_killed_processes_left_is_swept_in_time(cache: Cache) -> None:
    cache.put("a", filler(10))
    assert cache.root is not None
    for name, age in ((".partial-old", 2 * 24 * 3600), (".partial-young", 60)):
        (cache.root / name).mkdir()
        os.utime(cache.root / name, (time.time() - age,) * 2)
    cache.put("b", filler(10))
    assert leftovers(cache.root) == [".partial-young", "a", "b"]


def test_a_second_writer_of_the_same_key_loses_quietly(cache: Cache) -> None:
    cache.put("a", filler(10))
    cache.put("a", filler(20))
    assert cache.bytes() == 10
    assert cache.root is not None and leftovers(cache.root) == ["a"]


def test_off_and_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEVISION_CACHE", "off")
    nothing = default_cache()
    nothing.put("a", filler(10))
    assert nothing.root is None and nothing.get("a") is None and nothing.bytes() == 0
    monkeypatch.setenv("EDGEVISION_CACHE", str(tmp_path / "elsewhere"))
    assert default_cache().root == tmp_path / "elsewhere"


def test_a_place_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(root=tmp_path / "file")
    cache.put("a", filler(10))
    assert cache.get("a") is None


def test_key_changes_with_everything_a_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"model": "m", "weights": "w", "options": as_json(CaptureOptions())}
    key = stage_key("graph", inputs)
    assert key == stage_key("graph", dict(reversed(inputs.items())))
    others = {
        stage_key("other", inputs),
        stage_key("graph", {**inputs, "weights": "w2"}),
        stage_key("graph", {**inputs, "options": as_json(CaptureOptions(batch=Batch(1, 2, 4)))}),
        stage_key("graph", {**inputs, "options": as_json(CaptureOptions(opset=21))}),
    }
    versions = environment.package_versions()
    for package in versions:
        changed = {**versions, package: "0.0.0"}
        monkeypatch.setattr("edgevision.cache.package_versions", lambda changed=changed: changed)
        others.add(stage_key("graph", inputs))
    assert key not in others and len(others) == 4 + len(versions)


DIGEST = "from edgevision.environment import source_digest; print(source_digest())"


def test_source_digest_changes_with_every_part_of_our_source(tmp_path: Path) -> None:
    """Of a copied checkout that is itself called `edgevision`, as a clone is: its other folders do not count."""
    copy = tmp_path / "edgevision"
    for part in ("edgevision", "models", "calibration", "plugins"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)

    def digest() -> str:
        # -S: an editable install's finder would answer for the copy
        done = subprocess.run(
            [sys.executable, "-S", "-c", DIGEST], cwd=copy, capture_output=True, text=True, check=True
        )
        return done.stdout

    seen = [digest()]
    (copy / ".venv").mkdir()
    (copy / ".venv" / "library.py").write_text("x = 1")
    assert digest() == seen[0]
    for part in ("edgevision/ops/wavelet.py", "models/mobilemamba.toml", "plugins/ort/dwt.cc"):
        with (copy / part).open("a") as file:
            file.write("\n")
        seen.append(digest())
    assert len(set(seen)) == 4


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    made, _ = load(FactoryModel("tiny", "classifier"), LoadOptions())
    return replace(made, cacheable=True)  # as if it were of the zoo, whose code our own hash covers


def run(loaded: Loaded, cache: Cache) -> DeployGraph:
    samples = samples_of_module(loaded, [1], seed=0)
    return deploy_graph(loaded, CaptureOptions(), samples, cache, lambda _stage: None)


def from_cache(graph: DeployGraph) -> bool:
    return all("from the cache" in record.notes for record in graph.records)


@pytest.fixture(scope="module")
def filled(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one graph in it. Not to be changed: copy it."""
    root = tmp_path_factory.mktemp("cache") / "cache"
    assert not from_cache(run(loaded, Cache(root=root)))
    return root


@pytest.fixture
def copied(filled: Path, tmp_path: Path) -> Cache:
    return Cache(root=Path(shutil.copytree(filled, tmp_path / "cache")))


def test_the_same_model_hits_and_computes_the_same(loaded: Loaded, copied: Cache, tmp_path: Path) -> None:
    graph = run(loaded, copied)
    assert from_cache(graph)
    fresh = samples_of_module(loaded, [1], seed=5)
    (expected,), (got,) = fresh.outputs, run_graph(graph.model, fresh.feeds, tmp_path)
    assert difference(expected[0], got[0]).max_abs_over_std < 1e-5
    assert graph.reparam["applied"]


def test_one_changed_weight_misses(loaded: Loaded, copied: Cache) -> None:
    weight = loaded.module.get_parameter("head.bias")
    with torch.no_grad():
        weight[3] += 1e-6
        changed = replace(loaded, digest=state_sha256(loaded.module.state_dict()))
        graph = run(changed, copied)
        weight[3] -= 1e-6
    assert not from_cache(graph)
    assert from_cache(run(changed, copied)) and from_cache(run(loaded, copied))


def test_other_inputs_and_other_batches_miss(loaded: Loaded) -> None:
    keys = {
        graph_stages.stage_key("deploy_graph", graph_stages._dependencies(model, options))
        for model in (loaded, replace(loaded, inputs=(InputSpec(name="image", shape=(3, 64, 64)),)))
        for options in (CaptureOptions(), CaptureOptions(batch=Batch(1, 1, 3)))
    }
    assert len(keys) == 4


def truncate(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-100])


def flip_a_bit(model: Path) -> None:
    whole = model.read_bytes()
    model.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])


def lose_the_records(model: Path) -> None:
    (model.parent / "stages.json").write_text("{")


@pytest.mark.parametrize("damage", [Path.unlink, truncate, flip_a_bit, lose_the_records])
def test_a_damaged_entry_is_made_anew(
    loaded: Loaded, copied: Cache, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert copied.root is not None
    (model,) = copied.root.glob("*/model.onnx")
    damage(model)

    class CapturedAgainError(Exception):
        pass

    def capture(*_: object) -> None:
        raise CapturedAgainError

    monkeypatch.setattr(graph_stages, "capture", capture)
    with pytest.raises(CapturedAgainError):
        run(loaded, copied)
    assert leftovers(copied.root) == []


def test_a_users_own_module_is_never_cached(loaded: Loaded, tmp_path: Path) -> None:
    made, _ = load(FactoryModel("tiny", "classifier"), LoadOptions())
    assert not made.cacheable
    run(made, Cache(root=tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()
