"""The worker that compiles Triton kernels to machine code for every architecture, with no GPU present.

Run as `python -m edgevision.targets.tensorrt.compile_kernels request.json`, with TRITON_DISABLE_LINE_INFO=1: line
information would make the code depend on where the package is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from edgevision.errors import TargetError
from edgevision.targets.tensorrt.image import Binary, KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Specialisation, plugins
from edgevision.targets.tensorrt.worker import Reporter, serve

__all__ = ["compile_image"]

#: Triton compiles for this one. Its PTX of later architectures would be locked to them (`sm_90a`, `sm_120a`); that of 8.0
#: is valid on everything after it, and is assembled for each of the others, a tenth of the time of a compilation.
PORTABLE: Final = 80
ASSEMBLED: Final = (75, 86, 87, 89, 90, 120)
_TARGET: Final = re.compile(r"\.target sm_\d+\w*")
#: An absent input is no argument at all: Triton takes None for a constant.
_POINTERS: Final = {"fp32": "*fp32", "fp16": "*fp16", None: "constexpr"}


def compile_image(specialisation: Specialisation, package: str) -> KernelImage:
    """Machine code of one specialisation for every architecture, and the portable PTX."""
    portable = _compile(specialisation, package, PORTABLE)
    text, shared = portable.asm["ptx"], int(portable.metadata.shared)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        assembled = dict(zip(ASSEMBLED, pool.map(partial(_assemble, text), ASSEMBLED), strict=True))
    codes = sorted({PORTABLE: portable.asm["cubin"], **assembled}.items())
    binaries = [Binary(architecture=number, portable=False, shared=shared, code=code) for number, code in codes]
    ptx = text.encode() + b"\0"
    binaries.append(Binary(architecture=PORTABLE, portable=True, shared=shared, code=ptx))
    return KernelImage(specialisation=specialisation, entry=str(portable.metadata.name), binaries=tuple(binaries))


def _compile(specialisation: Specialisation, package: str, architecture: int) -> Any:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    plugin = next(p for p in plugins().values() if p.kernel == specialisation.kernel)
    names = [tensor.name for tensor in plugin.inputs]
    signature = {name: _POINTERS[kind] for name, kind in zip(names, specialisation.inputs, strict=True)}
    signature |= dict.fromkeys(plugin.scalars, "i32") | {"y": _POINTERS[specialisation.output]}
    constants: dict[str, int | None] = {name: None for name, kind in signature.items() if kind == "constexpr"}
    constants |= specialisation.constants
    signature |= dict.fromkeys(specialisation.constants, "constexpr")
    kernel = getattr(import_module(f"{package}.{specialisation.kernel}"), specialisation.kernel)
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    options = {"num_warps": specialisation.warps, "enable_fp_fusion": True}
    try:
        compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    except (triton.TritonError, RuntimeError, ValueError) as error:
        reason = f"Triton could not compile it for sm_{architecture}: {str(error).strip().splitlines()[-1]}"
        raise TargetError(f"kernel {specialisation.kernel}", reason, "report it") from error
    if compiled.metadata.global_scratch_size or compiled.metadata.profile_scratch_size:
        reason = "it wants scratch memory, which a launch does not give it"
        raise TargetError(f"kernel {specialisation.kernel}", reason, "use a Triton of which this was tried (3.9)")
    return compiled


def _assemble(ptx: str, architecture: int) -> bytes:
    """Machine code from PTX by the assembler that Triton brings, which refuses what the architecture does not have.

    PTX names the oldest architecture it is meant for; for an older one (Turing) that name is put in its place.
    """
    from triton.backends.nvidia.compiler import get_ptxas

    with tempfile.TemporaryDirectory(prefix="edgevision-ptx-") as folder:
        text, code = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        for_it = ptx if architecture >= PORTABLE else _TARGET.sub(f".target sm_{architecture}", ptx)
        text.write_text(for_it, encoding="utf-8")
        command = [get_ptxas(architecture).path, f"--gpu-name=sm_{architecture}", str(text), "-o", str(code)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or "it gave no reason").splitlines()[0]
            raise TargetError(f"kernel for sm_{architecture}", f"ptxas refuses it: {said}", "report it")
        return code.read_bytes()


def _work(request: dict[str, Any], report: Reporter) -> dict[str, Any]:
    report.step("compile kernels")
    folder = Path(request["folder"])
    wanted = [Specialisation.from_json(item) for item in request["specialisations"]]
    files = {}
    for done, specialisation in enumerate(wanted, start=1):
        image = folder / f"{specialisation.key}.kernel"
        image.write_bytes(compile_image(specialisation, request["package"]).encode())
        files[specialisation.key] = str(image)
        report.progress(specialisation.kernel, done, len(wanted))
    return {"images": files}


if __name__ == "__main__":
    sys.exit(serve(_work))
