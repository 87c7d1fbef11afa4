"""The gate over bundles: a planted fault fails, one changed answer in 200 is inconclusive, a baseline is its own."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx_ir as ir
import pytest
from PIL import Image
from quantizing import plant_scale
from small_nets import Build, pictures, residual_net
from typer.testing import CliRunner

from edgevision.cache import Cache
from edgevision.cli.main import app
from edgevision.errors import DataError, GateError, UsageError
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.quantize import quantize as quantize_module
from edgevision.quantize import regress as regress_module
from edgevision.quantize.baseline import read_baseline, write_baseline
from edgevision.quantize.judge import Speed
from edgevision.quantize.regress import Regression, RegressOptions, regress
from edgevision.quantize.regress_report import as_document, as_github, as_junit, as_markdown
from edgevision.report.markdown import to_markdown
from edgevision.report.page import Page, make_page
from edgevision.report.sources import read_sources
from edgevision.stages.quantize import QuantizeOptions
from edgevision.targets.onnxruntime import OnnxRuntime
from edgevision.targets.reference import Reference


@pytest.fixture(autouse=True)
def _no_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a busy machine measures decides no test."""
    monkeypatch.setattr(regress_module, "race", lambda *_, **__: speed(2.0))


def speed(ratio: float) -> Speed:
    return Speed(ratio=ratio, interval=(ratio - 0.1, ratio + 0.1), first_ms=1, second_ms=1 / ratio, pairs=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Float and INT8 bundles of one network, one with a planted wrong scale, and images labelled as float sees them."""
    folder = tmp_path_factory.mktemp("regress")
    ir.save(residual_net(), folder / "net.onnx")
    images = np.stack([s.image for s in pictures(400)])
    with Reference().load(folder / "net.onnx") as runner:
        labels = np.array([runner(image[None])[0].argmax() for image in images])
    np.savez(folder / "data.npz", images=images, labels=labels)
    np.savez(folder / "wrong.npz", images=images[:20], labels=labels[:20] + 10)
    patch = pytest.MonkeyPatch()
    patch.setattr(quantize_module, "race", lambda *_, **__: speed(2.0))
    how = QuantizeOptions(data=str(folder / "data.npz"), scheme="ort_x86_vnni", images=32)
    plain = ExportOptions(model=str(folder / "net.onnx"), target="ort", out=folder / "float")
    cache = Cache(root=None)
    export_bundle(plain, cache=cache)
    for name in ("int8", "planted"):
        export_bundle(replace(plain, precision="int8", quantize=how, out=folder / name), cache=cache)
    patch.undo()
    plant_scale(folder / "planted", "v10")
    return folder


def test_planted_wrong_scale_fails_and_the_right_one_does_not(folder: Path) -> None:
    options = RegressOptions(data=str(folder / "data.npz"), max_drop=5)
    right = regress([folder / "float", folder / "int8"], options, None)
    wrong = regress([folder / "float", folder / "planted"], options, None)
    assert right.verdict == "pass"
    assert wrong.verdict == "fail"
    assert right.evaluation.scores["net/ort/fp32/none"].top1.all()
    assert wrong.evaluation.scores["net/ort/int8/ort_x86_vnni"].snr_db < 15


def test_compare_names_the_planted_layer(folder: Path) -> None:
    command = ["compare", str(folder / "float"), str(folder / "planted"), "--data", str(folder / "data.npz"), "--json"]
    found = json.loads(CliRunner().invoke(app, command).stdout)
    assert found["worst"]["tensor"] == "v10"
    assert found["first"]["tensor"] == "v10"
    assert found["worst"]["relative_l2"] > 0.5


def test_baseline_is_paired_and_its_own(folder: Path, tmp_path: Path) -> None:
    options = RegressOptions(data=str(folder / "data.npz"), max_drop=5)
    good = regress([folder / "int8"], options, None)
    write_baseline(tmp_path / "base.json", good.entries)
    kept = read_baseline(tmp_path / "base.json")
    assert regress([folder / "int8"], options, kept).verdict == "pass"
    assert regress([folder / "planted"], options, kept).verdict == "fail"
    with pytest.raises(DataError, match="not of net/ort/fp32/none"):
        regress([folder / "float"], options, kept)
    foreign = {key.replace("net/", "other/"): entry for key, entry in kept.items()}
    with pytest.raises(DataError, match="it is of other/ort/int8/ort_x86_vnni, not of net/"):
        regress([folder / "int8"], options, foreign)
    with pytest.raises(DataError, match="other images"):
        regress([folder / "int8"], replace(options, images=30), kept)


def disagreed_on(folder: Path, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """An image at float's border between two classes, where INT8 has another, and float's answer to it."""
    with ExitStack() as opened:
        exact, int8 = (
            opened.enter_context(OnnxRuntime(threads=1).load(folder / name / "model.onnx"))
            for name in ("float", "int8")
        )
        candidates = (image * factor for factor in (-8, 8, -64, 64) for image in images[:50])
        near, far = images[0], next(x for x in candidates if exact(x[None])[0].argmax() != labels[0])
        for _ in range(18):
            middle = (near + far) / 2
            near, far = (middle, far) if exact(middle[None])[0].argmax() == labels[0] else (near, middle)
        sides = [(x, exact(x[None])[0].argmax(), int8(x[None])[0].argmax()) for x in (near, far)]
    image, answer, _ = next(side for side in sides if side[1] != side[2])
    return image, int(answer)


def test_one_changed_answer_in_two_hundred_end_to_end(folder: Path, tmp_path: Path) -> None:
    with np.load(folder / "data.npz") as data:
        images, labels = data["images"][:200], data["labels"][:200]
    images[7], labels[7] = disagreed_on(folder, images, labels)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    options = RegressOptions(data=str(tmp_path / "data.npz"), max_drop=0.4)
    found = regress([folder / "float", folder / "int8"], options, None)
    drop = found.checks[0].drop
    assert drop is not None
    assert (drop.lost, drop.gained, drop.images, found.verdict) == (1, 0, 200, "inconclusive")


def test_a_picture_that_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    for index in range(120):
        path = tmp_path / "data" / str(index % 10) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), index, np.uint8)).save(path)
    (tmp_path / "data" / "3" / "13.png").write_bytes(b"no picture")
    manifest = tmp_path / "float" / "manifest.json"
    shutil.copytree(folder / "float", tmp_path / "float")
    document = json.loads(manifest.read_text())
    document["model"]["preprocess"] = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear"}
    manifest.write_text(json.dumps(document))
    options = RegressOptions(data=str(tmp_path / "data"))
    found = regress([tmp_path / "float"], options, None)
    assert found.evaluation.images == 119
    assert "1 pictures could not be read and were left out: 13.png" in found.warnings[0]
    shutil.rmtree(tmp_path / "data" / "7")  # every class behind it would be taken for another
    with pytest.raises(DataError, match="9 classes, the model tells 10 apart"):
        regress([tmp_path / "float"], options, None)


def test_bad_input(folder: Path) -> None:
    options = RegressOptions(data=str(folder / "wrong.npz"))
    with pytest.raises(DataError, match=r"it has label 1[0-9], the model tells 10 apart"):
        regress([folder / "float", folder / "int8"], options, None)
    with pytest.raises(UsageError, match="same model, target"):
        regress([folder / "int8", folder / "planted"], options, None)


def test_forms(folder: Path) -> None:
    found = regress([folder / "float", folder / "planted"], RegressOptions(data=str(folder / "data.npz")), None)
    suite = ElementTree.fromstring(as_junit(found, strict=False))  # noqa: S314 - our own text
    assert suite.get("failures") == "1"
    assert suite.find("testcase/failure") is not None
    assert as_github(found).startswith("::error title=net/ort/int8/ort_x86_vnni top-1::fail%3A".replace("%3A", ":"))
    assert "**fail**" in as_markdown(found)


def test_command_line(folder: Path, tmp_path: Path) -> None:
    cli, base, junit = CliRunner(), str(tmp_path / "base.json"), tmp_path / "junit.xml"
    common = ["--data", str(folder / "data.npz"), "--max-drop", "5", "--baseline", base]
    assert cli.invoke(app, ["regress", str(folder / "int8"), *common, "--update"]).exit_code == 0
    passed = cli.invoke(app, ["regress", str(folder / "int8"), *common, "--json"])
    assert passed.exit_code == 0
    assert json.loads(passed.stdout)["verdict"] == "pass"
    passed_text = cli.invoke(app, ["regress", str(folder / "int8"), *common], env={"COLUMNS": "200"})
    refused = cli.invoke(app, ["regress", str(folder / "planted"), *common, "--junit", str(junit)])
    assert isinstance(refused.exception, GateError)
    assert "failure" in junit.read_text()
    assert "(was 0." in passed_text.stdout
    unsure = [
        "regress",
        str(folder / "float"),
        str(folder / "int8"),
        "--data",
        common[1],
        "--max-drop",
        "0",
        "--images",
        "40",
    ]
    assert cli.invoke(app, unsure).exit_code == 0
    assert isinstance(cli.invoke(app, [*unsure, "--strict"]).exception, GateError)


def enlarging_net() -> ir.Model:
    """Twice as large by a convolution and DepthToSpace; its weights repeat pixels, nearly."""
    net = Build()
    features = net.op("Relu", net.conv(net.image, 16, 3))
    weight = np.zeros((12, 3, 3, 3), np.float32)
    for channel in range(3):
        weight[[channel, 3 + channel, 6 + channel, 9 + channel], channel, 1, 1] = 1
    repeated = net.op("Conv", net.image, net.constant(weight), pads=[1] * 4)
    detail = net.op("Mul", net.conv(features, 12, 16), net.constant(np.float32(0.02)))
    return net.model(net.op("DepthToSpace", net.op("Add", repeated, detail), blocksize=2))


def reported(found: Regression, path: Path) -> Page:
    """The page `edgevision report` makes of what `regress --json` prints, which has no NaN in it."""
    path.write_text(json.dumps(as_document(found), allow_nan=False))
    return make_page(read_sources([path]))


def test_pictures_are_scored_on_luma_against_bicubic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize_module, "race", lambda *_, **__: speed(2.0))
    ir.save(enlarging_net(), tmp_path / "net.onnx")
    coarse = np.random.default_rng(0).random((24, 3, 4, 4)).astype(np.float32)
    np.save(tmp_path / "small.npy", coarse.repeat(4, axis=2).repeat(4, axis=3))
    np.save(tmp_path / "large.npy", coarse.repeat(8, axis=2).repeat(8, axis=3))
    plain = ExportOptions(model=str(tmp_path / "net.onnx"), target="ort", out=tmp_path / "float")
    how = QuantizeOptions(data=str(tmp_path / "small.npy"), scheme="ort_x86_vnni")
    export_bundle(plain, cache=Cache(root=None))
    export_bundle(replace(plain, precision="int8", quantize=how, out=tmp_path / "int8"), cache=Cache(root=None))
    bundles = [tmp_path / "float", tmp_path / "int8"]
    found = regress(bundles, RegressOptions(data=str(tmp_path / "large.npy"), max_drop=3), None)
    drop = found.checks[0].drop
    assert drop is not None
    assert (drop.what, drop.unit, found.verdict) == ("PSNR", "dB", "pass")
    text = as_markdown(found)
    assert "PSNR dB" in text
    assert "| bicubic |" in text
    report = reported(found, tmp_path / "regress.json")
    assert report.title == "edgevision: net" and "PSNR (dB)" in to_markdown(report)
    (table,) = (t for t in report.sections[0].tables if t.title == "Scores of pictures")
    assert [row[0].text for row in table.rows] == [*found.evaluation.scores, "bicubic"]
    assert table.rows[0][3].text == table.rows[2][3].text == "—"
    write_baseline(tmp_path / "base.json", found.entries)
    again = regress(
        bundles, RegressOptions(data=str(tmp_path / "large.npy"), max_drop=3), read_baseline(tmp_path / "base.json")
    )
    assert [round(c.drop.points, 3) for c in again.checks[1:] if c.drop] == [0, 0]
    with pytest.raises(DataError, match="answers' size"):
        regress(bundles, RegressOptions(data="nowhere.npy"), None)
    assert found.evaluation.images == 24
