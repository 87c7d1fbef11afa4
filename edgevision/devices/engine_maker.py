"""How an engine is built on a device and timed there: by `trtexec`, or in Python with our plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from edgevision.devices.local import ProfileOptions
from edgevision.devices.runner import Told
from edgevision.devices.sampling import Recording
from edgevision.errors import DeviceError
from edgevision.stages.samples import Samples

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

__all__ = ["ENGINE", "GRAPH", "LONGEST_BUILD", "LONGEST_RUN", "EngineMaker", "HalfTimedError", "Timed"]

#: Names in the device's work folder.
ENGINE, GRAPH = "model.engine", "model.trt.onnx"
#: Seconds an engine may take to build on the device, and to be timed.
LONGEST_BUILD, LONGEST_RUN = 3600.0, 600.0


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What was measured; milliseconds.

    Attributes:
        compute: of each run, the GPU's own time.
        with_copies: of each run, the copies to the GPU and back too.
        outputs: of the last run, by name.
        cold: opening the engine and the first run; None where that is not told.
        peak: mebibytes of memory; None where that is not told.
        layers: rows of `per_op`, one a layer; None where they were not asked for.
    """

    compute: Sequence[float]
    with_copies: Sequence[float]
    outputs: Mapping[str, Array]
    recording: Recording
    cold: float | None = None
    peak: float | None = None
    layers: Sequence[Mapping[str, Any]] | None = None


class HalfTimedError(DeviceError):
    """Timing ended too early; `told` is what had arrived."""

    def __init__(self, ended: DeviceError, told: Told) -> None:
        super().__init__(ended.thing, ended.reason, ended.mend)
        self.ended, self.told = ended, told


class EngineMaker(Protocol):
    """One way; the device is open.

    Attributes:
        name: of the program that does it.
        kept: files in the work folder that are the engine, fetched back and sent again.
    """

    name: ClassVar[str]
    kept: ClassVar[Sequence[str]]

    def version(self) -> str:
        """TensorRT's version there; DeviceError when it is not there."""
        ...

    def prepare(self, graph: Path) -> None:
        """Write the parser's graph."""
        ...

    def build(self, graph: Path) -> None:
        """Leave the engine of the graph in the work folder; DeviceError when that fails."""
        ...

    def time(self, samples: Samples, options: ProfileOptions) -> Timed:
        """Time the engine in the work folder on the first sample.

        Raises:
            DeviceError: it fails, as a HalfTimedError when some runs had been told.
        """
        ...
