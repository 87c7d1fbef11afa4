"""A compiled kernel as bytes that an engine can carry: machine code per architecture and PTX for all others.

Layout: 8 magic bytes, then one zlib stream of a JSON header's length (4 bytes), the header, and the binaries behind one
another. Reading it needs neither Triton nor TensorRT, so an engine runs where only `cuda-bindings` is installed.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from edgevision.errors import TargetError
from edgevision.targets.tensorrt.plugins.plugin import Specialisation

__all__ = ["Binary", "KernelImage"]

MAGIC: Final = b"EVKERN01"


@dataclass(frozen=True, kw_only=True)
class Binary:
    """Code for one architecture.

    Attributes:
        architecture: compute capability without the dot, e.g. 86; for PTX the least one it can be compiled for.
        portable: PTX, which the driver compiles, rather than machine code.
        shared: bytes of dynamic shared memory a launch needs.
        code: the cubin, or the PTX with its closing NUL.
    """

    architecture: int
    portable: bool
    shared: int
    code: bytes

    def runs_on(self, architecture: int) -> bool:
        """Machine code runs on its own generation from its minor version on, PTX on everything later."""
        if self.portable:
            return architecture >= self.architecture
        return architecture // 10 == self.architecture // 10 and architecture >= self.architecture


@dataclass(frozen=True, kw_only=True)
class KernelImage:
    """All binaries of one specialisation. `entry` is the kernel's symbol."""

    specialisation: Specialisation
    entry: str
    binaries: Sequence[Binary]

    @cached_property
    def digest(self) -> str:
        """Hash of everything in the image."""
        return hashlib.sha256(self.encode()).hexdigest()

    def for_device(self, architecture: int) -> Binary:
        """The closest machine code for a device, else the portable code."""
        fitting = [b for b in self.binaries if b.runs_on(architecture)]
        if not fitting:
            have = ", ".join(str(b.architecture) for b in self.binaries)
            raise TargetError(
                f"kernel {self.entry}",
                f"no code for compute capability {architecture / 10:.1f} (there is code for {have})",
                "use a GPU of compute capability 7.5 or later",
            )
        return max(fitting, key=lambda b: (not b.portable, b.architecture))

    def encode(self) -> bytes:
        """The image as bytes; equal images give equal bytes."""
        header = {
            "specialisation": self.specialisation.as_json(),
            "entry": self.entry,
            "binaries": [[b.architecture, int(b.portable), b.shared, len(b.code)] for b in self.binaries],
        }
        text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        body = len(text).to_bytes(4, "little") + text + b"".join(b.code for b in self.binaries)
        return MAGIC + zlib.compress(body, 9)

    @staticmethod
    def decode(data: bytes) -> KernelImage:
        """The inverse of `encode`."""
        if not data.startswith(MAGIC):
            raise TargetError("kernel in the engine", "it is not an edgevision kernel image", "build the engine again")
        try:
            body = zlib.decompress(data[len(MAGIC) :])
        except zlib.error as error:
            raise TargetError("kernel in the engine", f"it is damaged ({error})", "build the engine again") from error
        size = int.from_bytes(body[:4], "little")
        header = json.loads(body[4 : 4 + size])
        binaries, at = [], 4 + size
        for architecture, portable, shared, length in header["binaries"]:
            code = body[at : at + length]
            binaries.append(Binary(architecture=architecture, portable=bool(portable), shared=shared, code=code))
            at += length
        specialisation = Specialisation.from_json(header["specialisation"])
        return KernelImage(specialisation=specialisation, entry=header["entry"], binaries=tuple(binaries))
