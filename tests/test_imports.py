"""`edgevision --help` answers at once because it loads nothing heavy. The cause is asserted, not the seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest
from workspace import children_environment

HEAVY = ("torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy", "PIL", "psutil", "rich")

AFTER = {
    "import edgevision": "import edgevision",
    "edgevision --help": "run('--help')",
    "edgevision export --help": "run('export', '--help')",
    "edgevision --version": "run('--version')",
    "edgevision models": "run('models', '--json')",
    "a mistyped model": "run('export', '--model', 'mobilmamba', '--target', 'ort')",
    "a mistyped target": "run('export', '--model', 'mobilemamba', '--target', 'otr')",
}

SCRIPT = """
import sys

def run(*arguments):
    from edgevision.cli.main import main
    sys.argv = ["edgevision", *arguments]
    try:
        main()
    except SystemExit:
        pass

{what}
print("loaded:", *sorted(set({heavy!r}) & set(sys.modules)))
"""


@pytest.mark.parametrize("what", AFTER)
def test_nothing_heavy_is_loaded(what: str) -> None:
    script = SCRIPT.format(what=AFTER[what], heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=children_environment()
    )
    loaded = set(done.stdout.splitlines()[-1].split()[1:])
    assert loaded <= ({"numpy", "rich"} if what.startswith("a mistyped") else set())


def test_the_check_would_notice() -> None:
    script = SCRIPT.format(what="import edgevision\nedgevision.create_model", heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=children_environment()
    )
    assert "numpy" in done.stdout.splitlines()[-1]
