"""The report: what is on the page, what the page may not do, and which files it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from documents import manifest, profile, regression, write
from typer.testing import CliRunner

from edgevision.cli.main import app
from edgevision.errors import DataError
from edgevision.report.csv_rows import to_csv
from edgevision.report.html import to_html
from edgevision.report.markdown import to_markdown
from edgevision.report.page import Page, make_page
from edgevision.report.quantile import quantile_interval
from edgevision.report.sources import read_sources

MODELS, PRECISIONS, DEVICES = ("net_a", "net_b", "net_c"), ("fp32", "fp16", "int8"), ("jetson", "phone")


class Reader(HTMLParser):
    """Collects the text and every attribute, and notices tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in {"meta", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.fixture
def page(tmp_path: Path) -> Page:
    documents = [
        profile(m, p, d, median=(i + 1) * (9 - 2 * j) * (1 + k), runs=1000)
        for i, m in enumerate(MODELS)
        for j, p in enumerate(PRECISIONS)
        for k, d in enumerate(DEVICES)
    ]
    documents[0]["accuracy"] = {"metric": "top-1", "value": 0.75, "n": 1797, "interval": [0.73, 0.77]}
    manifests = [manifest(m, "fp32") for m in MODELS] + [manifest("net_a", "int8")]
    compared = regression("net_b/ort/fp32", "net_b/ort/int8/ort_x86")
    return make_page(read_sources(write(tmp_path, *documents, *manifests, compared)))


def test_page_shows_every_measurement_offline(page: Page) -> None:
    html = to_html(page)
    reader = read(html)
    text = " ".join(reader.text)
    for entry in page.entries:
        assert entry.label in text
        assert f"{entry.p50:.4g}" in text
    for expected in (
        "95 % interval",
        "n = 1000",
        "75.00%",
        "n = 1797",
        "affine_after_linear",
        "2.0e-06",
        "performance",
        "E = 50%",
        "2.4 to 2.6",  # of the per-op times
        "… to …",  # an older profile's, which has none
        "kernels under water, below 10 ops/byte",
        "attainable, blocks fused (ms)",
        "it feeds the scan",
        "within the budget",
        "drop 0.2 pp of 0.5 allowed",
        "too few images",
    ):
        assert expected in text
    per_op = html.split("Where the time goes")[1].split("<h2")[0]
    assert all(f">{entry.label}</text>" in per_op for entry in page.entries), "a plot that does not say whose it is"
    # Nothing on the page names an address or can make the browser ask for one.
    assert "//" not in html.replace("</", "")
    addresses = [(t, n, v) for t, n, v in reader.attributes if n in {"src", "href", "srcset", "action", "data"}]
    assert addresses == [("link", "href", "data:,")]
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", html)
    assert len(html) < 6_000_000


def test_accuracy_of_a_regression_reaches_its_measurements(page: Page) -> None:
    known = {(e.model, e.precision): e.accuracy for e in page.entries}
    found = known["net_b", "int8"]
    assert found is not None
    assert (found.value, found.n) == (0.955, 1797)
    assert found.interval is not None
    # Wilson's interval for 95.5 % of 1797, worked out by hand.
    assert found.interval == pytest.approx((0.94444, 0.96365), abs=2e-4)
    assert known["net_c", "fp32"] is None


def test_every_svg_number_is_finite_and_inside(page: Page) -> None:
    reader = read(to_html(page))
    numbers = [(n, float(v)) for _, n, v in reader.attributes if n in {"x", "x1", "x2", "cx", "width"} and "=" not in v]
    numbers = [pair for pair in numbers if pair[1] == pair[1]]
    assert len(numbers) > 100
    assert all(-1 <= value <= 401 for _, value in numbers)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\"'|"
    page = make_page(read_sources(write(tmp_path, profile(hostile, "fp32", hostile, median=3))))
    scripts = [t for t, _, _ in read(to_html(page)).attributes if t == "script"]
    assert scripts == []  # ours has no attributes
    assert to_html(page).count("<script>") == 1
    assert "<script>" not in to_markdown(page)


def test_sensors_of_the_runs_are_told_where_there_were_any(page: Page, tmp_path: Path) -> None:
    energy = {"mj": 31.4, "interval": [30.1, 32.7], "n": 17, "rails": ["VDD_IN"]}
    sensors = {
        "seconds": 4.25, "readings": 34, "temperature_c": {"tj": [61.5, 63.25]}, "clock_mhz": None,
        "stolen": 0.013, "others": 0.214, "throttled": ["frequency capped"], "power_source": "tegrastats", "why_no_energy": None, "energy": energy,
        "power_mw": {"VDD_IN": {"mean": 11880.0, "low": 10000, "high": 14000, "n": 17}},
    }  # fmt: skip
    document = profile("t2", "fp32", "orin", median=3, sensors=sensors, energy_mj=31.4)
    told = make_page(read_sources(write(tmp_path, document)))
    assert "During the runs" in to_html(told)
    markdown = to_markdown(told)
    for words in (
        "31.4 (30.1 to 32.7, n = 17)",
        "tj 61.5 to 63.2",
        "11.88 (n = 17)",
        "21.4%",
        "1.3%",
        "frequency capped",
    ):
        assert words in markdown
    (row,) = csv.DictReader(io.StringIO(to_csv(told)))
    assert (row["energy_mj"], row["energy_low_mj"], row["energy_n_readings"]) == ("31.4", "30.1", "17")
    assert "During the runs" not in to_html(page)


def test_markdown_and_csv_hold_the_same_numbers(page: Page) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(page))))
    assert [float(r["p50_ms"]) for r in rows] == [e.p50 for e in page.entries]
    assert [r["n_runs"] for r in rows] == ["1000"] * len(page.entries)
    assert rows[0]["n_images"] == "1797"
    assert rows[1]["n_images"] == rows[1]["energy_mj"] == ""
    markdown = to_markdown(page)
    assert all(f"{e.p50:.4g}" in markdown for e in page.entries)
    widths = {line.replace("\\|", "").count("|") for line in markdown.splitlines() if line.startswith("| jetson")}
    assert len(widths) <= 1


def test_a_profile_takes_what_it_lacks_from_the_manifest_of_its_graph(tmp_path: Path) -> None:
    document = profile("net_a", "int8", "jetson", median=3)
    del document["bundle"]["precision"]
    of_other, of_same = manifest("net_a", "fp32"), manifest("net_a", "int8")
    assert make_page(read_sources(write(tmp_path, document, of_other))).entries[0].precision == "precision unknown"
    assert make_page(read_sources(write(tmp_path, document, of_other, of_same))).entries[0].precision == "int8"


def test_interval_of_a_high_quantile_is_open_when_runs_are_few() -> None:
    few, many = [float(i) for i in range(100)], [float(i) for i in range(10_000)]
    assert quantile_interval(few, 0.99)[1] is None
    low, high = quantile_interval(many, 0.99)
    assert low is not None
    assert high is not None
    assert low < 9900 < high


def cut_short(text: str) -> str:
    return text[: len(text) // 2]


def newer(text: str) -> str:
    return text.replace('"schema_version": 1', '"schema_version": 2')


def without_samples(text: str) -> str:
    document = json.loads(text)
    document["latency_ms"]["samples"] = []
    return json.dumps(document)


def with_nan(text: str) -> str:
    document = json.loads(text)
    document["latency_ms"]["samples"][0] = float("nan")
    return json.dumps(document)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut_short, "cut short"),
        (newer, "schema version is 2"),
        (lambda _: "", "empty"),
        (lambda _: "[1]", "not an object"),
        (lambda _: '{"schema_version": 1}', "neither a profile, a manifest nor a regression"),
        (lambda _: '{"checks": [1], "scores": {}, "images": 3}', "not of the form of `regress --json`"),
        (lambda t: t.replace('"verdict"', '"verdikt"'), "lacks verdict"),
        (without_samples, "no samples"),
        (with_nan, "NaN"),
        (lambda t: t.replace('"device": {', '"device": "phone", "was": {'), "not of the profile's form"),
        (lambda t: re.sub(r'"p50": [\d.]+', '"p50": null', t), "not numbers"),
    ],
)
def test_bad_file_is_refused_by_name(tmp_path: Path, spoil: object, reason: str) -> None:
    (path,) = write(tmp_path, profile("net_a", "fp32", "jetson", median=3))
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8")  # type: ignore[operator]
    with pytest.raises(DataError, match=reason) as caught:
        read_sources([path])
    assert caught.value.thing == str(path)
    assert caught.value.mend


def test_nothing_to_report_and_no_file() -> None:
    with pytest.raises(DataError, match="nothing to report"):
        read_sources([])
    with pytest.raises(DataError, match="cannot be read"):
        read_sources([Path("absent.json")])


def test_command_writes_what_is_asked_and_nothing_after_an_error(tmp_path: Path) -> None:
    good, bad = write(tmp_path, profile("net_a", "fp32", "jetson", median=3), {"schema_version": 9})
    out = tmp_path / "out.html"
    failed = CliRunner().invoke(app, ["report", str(good), str(bad), "--html", str(out)])
    assert isinstance(failed.exception, DataError)
    assert not out.exists()
    done = CliRunner().invoke(app, ["report", str(good), "--html", str(out), "--csv", "-"])
    assert done.exit_code == 0, done.output
    assert out.read_text(encoding="utf-8").endswith("</html>\n")
    assert "net_a,ort,fp32,jetson" in done.output


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_browser_shows_the_page_and_sorts_without_complaint(tmp_path: Path, page: Page) -> None:
    click = "document.querySelectorAll('th button')[2].click();"
    click += "document.title=`sorted ${document.documentElement.scrollWidth <= innerWidth}`;"
    html = to_html(page).replace("</script></body>", f"{click}</script></body>")
    file = tmp_path / "page.html"
    file.write_text(html, encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command += [f"--user-data-dir={tmp_path / 'browser'}", "--window-size=500,900", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    assert "<title>sorted true" in done.stdout, "the page is wider than a phone"
    table = done.stdout.split("<tbody>", 1)[1].split("</tbody>", 1)[0]
    keys = [float(row.split('data-key="')[3].split('"')[0]) for row in table.split("<tr>")[1:]]
    assert len(keys) == 18
    assert keys == sorted(keys)
    assert keys != [e.p50 for e in page.entries]
