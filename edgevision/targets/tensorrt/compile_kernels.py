"""The worker that compiles Triton kernels to machine code for every architecture, with no GPU present.

Run as `python -m edgevision.targets.tensorrt.compile_kernels request.json`. Line information is left out, so that the
code does not depend on where the package is installed.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from edgevision.errors import TargetError
from edgevision.targets.tensorrt.image import Binary, KernelImage
from edgevision.targets.tensorrt.plugins.plugin import Plugin, Specialisation, plugins
from edgevision.targets.tensorrt.worker import Reporter, serve

__all__ = ["ARCHITECTURES", "compile_image"]

ARCHITECTURES: Final = (75, 80, 86, 87, 89, 90, 120)
#: PTX of later architectures is locked to them (`sm_90a`, `sm_120a`); that of 8.0 runs on everything after it.
PORTABLE: Final = 80
_POINTERS: Final = {"fp32": "*fp32", "fp16": "*fp16"}


def compile_image(specialisation: Specialisation) -> KernelImage:
    """Machine code of one specialisation for all `ARCHITECTURES`, and the portable PTX."""
    binaries: list[Binary] = []
    entry = specialisation.kernel
    for architecture in ARCHITECTURES:
        compiled = _compile(specialisation, architecture)
        shared, entry = int(compiled.metadata.shared), str(compiled.metadata.name)
        if compiled.metadata.global_scratch_size or compiled.metadata.profile_scratch_size:
            raise TargetError(f"kernel {entry}", "it wants scratch memory, which a launch does not give it", "")
        cubin = Binary(architecture=architecture, portable=False, shared=shared, code=compiled.asm["cubin"])
        binaries.append(cubin)
        if architecture == PORTABLE:
            text = compiled.asm["ptx"].encode() + b"\0"
            binaries.append(Binary(architecture=architecture, portable=True, shared=shared, code=text))
    return KernelImage(specialisation=specialisation, entry=entry, binaries=tuple(binaries))


def _compile(specialisation: Specialisation, architecture: int) -> Any:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    plugin = _plugin(specialisation)
    names = [*(tensor.name for tensor in plugin.inputs), "y"]
    signature = {name: _POINTERS[kind] for name, kind in zip(names, specialisation.pointers, strict=True)}
    signature |= dict.fromkeys(plugin.scalars, "i32") | dict.fromkeys(specialisation.constants, "constexpr")
    kernel = getattr(import_module(f"edgevision.plugins.triton.{specialisation.kernel}"), specialisation.kernel)
    source = ASTSource(fn=kernel, signature=signature, constexprs=dict(specialisation.constants))
    options = {"num_warps": specialisation.warps, "enable_fp_fusion": True}
    try:
        return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    except (triton.TritonError, RuntimeError, ValueError) as error:
        reason = f"Triton could not compile it for sm_{architecture}: {str(error).strip().splitlines()[-1]}"
        raise TargetError(f"kernel {specialisation.kernel}", reason, "report it, with the log") from error


def _plugin(specialisation: Specialisation) -> Plugin:
    return next(p for p in plugins().values() if p.kernel == specialisation.kernel)


def _work(request: dict[str, Any], report: Reporter) -> dict[str, Any]:
    report.step("compile kernels")
    folder = Path(request["folder"])
    wanted = [Specialisation.from_json(item) for item in request["specialisations"]]
    files = {}
    for done, specialisation in enumerate(wanted, start=1):
        image = folder / f"{specialisation.key}.kernel"
        image.write_bytes(compile_image(specialisation).encode())
        files[specialisation.key] = str(image)
        report.progress(specialisation.kernel, done, len(wanted))
    return {"images": files}


if __name__ == "__main__":
    os.environ.setdefault("TRITON_DISABLE_LINE_INFO", "1")
    sys.exit(serve(_work))
