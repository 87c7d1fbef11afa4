"""The command line around the commands: help, what is no command, a defect of ours, a reader that goes away."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from workspace import Command, children_environment


def test_help_and_version(edgevision: Command) -> None:
    import edgevision as package

    assert edgevision("--version").out.strip() == f"edgevision {package.__version__}"
    commands = [
        "export",
        "reparam",
        "compile",
        "verify",
        "inspect",
        "run",
        "profile",
        "models",
        "ops",
        "targets",
        "doctor",
    ]
    shown = edgevision("--help")
    assert shown.code == 0 and all(command in shown.out for command in commands)
    for command in commands:
        ended = edgevision(command, "--help")
        assert ended.code == 0 and "--json" in ended.out


@pytest.mark.parametrize(
    "arguments", [("export",), ("export", "--model"), ("fly",), ("run", "--colour"), ("export", "--batch", "1")]
)
def test_a_wrong_command_line(edgevision: Command, arguments: tuple[str, ...]) -> None:
    ended = edgevision(*arguments, "--json")
    assert ended.code == 2
    assert ended.error["kind"] == "usage" and ended.err


def test_a_defect_of_ours_is_70_and_says_how_to_report(edgevision: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("edgevision.diagnosis.diagnose", broken)
    ended = edgevision("doctor", "--json")
    assert ended.code == 70
    assert ended.error["kind"] == "defect" and "report" in ended.error["mend"]
    assert "ZeroDivisionError: a bug" in ended.err


def test_a_reader_that_goes_away_is_no_verdict() -> None:
    """`edgevision models | head -1`: 1 is for gates alone."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "edgevision", "models", "--json"],
        stdout=writer, stderr=subprocess.PIPE, env=children_environment(), check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode in (141, 120), done.stderr
