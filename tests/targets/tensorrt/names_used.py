"""Which names of TensorRT's Python bindings our driver uses, and which of them a given TensorRT lacks.

TensorRT 10 and 11 cannot be installed without a GPU, but their bindings can be unpacked, and import against stand-ins for
the libraries that have the symbols and do nothing. Run as `python names_used.py MODULE [FOLDER OF THE BINDINGS]`.
"""

from __future__ import annotations

import ast
import ctypes
import json
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parents[3] / "edgevision" / "targets" / "tensorrt"
#: What our sources call an object -> its class in the bindings.
CLASSES = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "error": "ParserError",
    "registry": "IPluginRegistry",
    "_runtime": "Runtime",
    "_engine": "ICudaEngine",
    "_execution": "IExecutionContext",
}
OWNERS = {"build_engine.py", "plugin_v3.py", "runner.py", "flavor.py"}
#: Where a variable of that name is something else.
ELSEWHERE = {("plugin_v3.py", "builder"): "IExprBuilder"}
#: Members of dims, tensors and descriptions that are reached through no variable of a telling name.
MORE = {
    "ITensor": ("name", "shape", "dtype"),
    "ILayer": ("type", "name"),
    "PluginTensorDesc": ("dims", "type", "format"),
    "DynamicPluginTensorDesc": ("desc",),
    "IExprBuilder": ("constant", "operation"),
    "IPluginV3": ("get_capability_interface",),
    "IProgressMonitor": ("phase_start", "step_complete", "phase_finish"),
}
#: Methods TensorRT calls on a plugin; each must be one of the bases' own.
BASES = ("IPluginV3", "IPluginV3OneCore", "IPluginV3OneBuild", "IPluginV3OneRuntime")


def used() -> set[str]:
    """Dotted names below the module, e.g. `Builder.create_network`."""
    found = {f"{owner}.{name}" for owner, names in MORE.items() for name in names}
    for source in sorted(SOURCES.glob("*.py")):
        tree = ast.parse(source.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            chain = _chain(node)
            if chain and chain[0] == "trt" and len(chain) > 1:
                found.add(".".join(chain[1:]))
            elif len(chain) > 1 and source.name in OWNERS:
                owner = ELSEWHERE.get((source.name, chain[-2]), CLASSES.get(chain[-2]))
                if owner and (chain[-2] != "error" or source.name == "build_engine.py"):
                    found.add(f"{owner}.{chain[-1]}")
    return {name for name in found if not name.endswith("__version__")}


def used_of_quick_plugins() -> set[str]:
    """Names below `tensorrt.plugin`."""
    tree = ast.parse((SOURCES / "quick_plugin.py").read_text(encoding="utf-8"))
    chains = [_chain(node) for node in ast.walk(tree)]
    return {".".join(chain[1:]) for chain in chains if len(chain) > 1 and chain[0] in ("trtp", "_trtp")}


def _chain(node: ast.AST) -> list[str]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return [node.id, *parts] if isinstance(node, ast.Name) else []


def overridden() -> set[str]:
    """The methods of our plugin class."""
    tree = ast.parse((SOURCES / "plugin_v3.py").read_text(encoding="utf-8"))
    plugin = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "_Plugin")
    return {item.name for item in plugin.body if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")}


def missing(trt: Any) -> dict[str, list[str]]:
    """Names used that `trt` lacks, and methods of our plugin that none of its bases has."""
    lacking = [name for name in sorted(used()) if not _has(trt, name)]
    bases = [getattr(trt, base) for base in BASES]
    strange = sorted(name for name in overridden() if not any(hasattr(base, name) for base in bases))
    return {"names": lacking, "methods": strange}


def _has(module: Any, name: str) -> bool:
    at: Any = module
    for part in name.split("."):
        at = getattr(at, part, None)
    return at is not None


def _stand_ins(bindings: Path) -> None:
    """Empty libraries with the symbols the bindings look for, loaded before they are."""
    library = next((bindings / "tensorrt_bindings").glob("tensorrt*.so"))
    needed = re.findall(r"\[(libnv\S+)\]", _output("readelf", "-d", library))
    symbols = re.findall(
        r" U (\w*(?:_INTERNAL|PluginRegistry|Version|InferPlugins|Logger))$", _output("nm", "-D", library), re.M
    )
    folder = Path(tempfile.mkdtemp(prefix="stand-ins-"))
    code = "\n".join(f"void* {symbol}(void) {{ return 0; }}" for symbol in symbols)
    (folder / "empty.c").write_text(code)
    for name in needed:
        command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(folder / "empty.c")]
        subprocess.run(command, check=True)
        ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)


def _output(*command: object) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    if sys.argv[2:]:
        _stand_ins(Path(sys.argv[2]))
        sys.path.insert(0, sys.argv[2])
        bindings = sys.modules["tensorrt"] = import_module(sys.argv[1])
        quick = import_module(f"{sys.argv[1]}.plugin")
        lacking = [name for name in sorted(used_of_quick_plugins()) if not _has(quick, name)]
        sys.stdout.write(json.dumps({**missing(bindings), "quick": lacking}))
    else:
        from edgevision.targets.tensorrt.flavor import FLAVORS, import_flavor

        sys.stdout.write(json.dumps(missing(import_flavor(FLAVORS[sys.argv[1]]))))
