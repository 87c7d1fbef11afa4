"""The Python API: create a model, export it, run the result. The same functions as behind the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevision.bundle import inside, open_bundle
from edgevision.check_bundle import runnable_target
from edgevision.errors import DataError
from edgevision.pipeline import ExportOptions, export_bundle
from edgevision.registry import create_model
from edgevision.spec import Batch
from edgevision.targets.target import Precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevision.stages.quantize import QuantizeOptions
    from edgevision.targets.target import Runner, TensorInfo

__all__ = ["LoadedBundle", "create_model", "export", "load"]


def export(
    model: str,
    *,
    target: str,
    out: str | Path | None = None,
    weights: str | Path | None = None,
    weights_key: str | None = None,
    model_args: Mapping[str, Any] | None = None,
    precision: Precision | None = None,
    input_size: tuple[int, int] | None = None,
    batch: int | tuple[int, int, int] = 1,
    plugins: bool = True,
    target_options: Mapping[str, Any] | None = None,
    quantize: QuantizeOptions | None = None,
    seed: int = 0,
) -> Path:
    """Export a model into a verified bundle and return the bundle's folder.

    Args:
        model: zoo name or alias, `timm:NAME`, `package.module:factory`, or a path ending in `.onnx`.
        target: ort, trt, coreml or onnx.
        out: folder to write; named after model, target and precision in the current folder when None.
        weights: checkpoint; None takes the weights that come with the model, else seeded random ones.
        weights_key: entry of the checkpoint that holds the weights.
        model_args: overrides of the card's fields.
        precision: fp32, fp16, bf16 or int8; None takes the target's own (fp32, for Core ML fp16).
        target_options: options of the target alone, e.g. {"compute_capability": "8.9"}.
        input_size: height and width in pixels.
        batch: fixed size, or (least, best, most) of a dynamic one.
        plugins: use our kernels where the target takes them.
        quantize: with precision "int8": the calibration set and how to quantize.
        seed: of random weights and of the inputs of the proof.

    Raises:
        EdgeError: of the kind of the stage that failed; nothing is left behind then.
    """
    options = ExportOptions(
        model=model,
        target=target,
        weights=None if weights is None else Path(weights),
        weights_key=weights_key,
        model_args=dict(model_args or {}),
        precision=precision,
        input_size=input_size,
        batch=Batch(batch, batch, batch) if isinstance(batch, int) else Batch(*batch),
        plugins=plugins,
        target_options=dict(target_options or {}),
        out=None if out is None else Path(out),
        quantize=quantize,
        seed=seed,
    )
    return export_bundle(options).path


class LoadedBundle:
    """A bundle opened on its own runtime. Call it with an array, or with {name: array}; it returns a list of arrays."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.inputs: Sequence[TensorInfo] = runner.inputs
        self.outputs: Sequence[TensorInfo] = runner.outputs

    def __call__(self, feeds: NDArray[np.generic] | Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """Check the inputs' names, shapes and finiteness, and run once.

        Raises:
            DataError: an input is missing, unknown, mis-shaped, or has NaN or Inf.
        """
        named = feeds if isinstance(feeds, Mapping) else {self.inputs[0].name: feeds}
        self._check(named)
        return self._runner(named)

    def close(self) -> None:
        """Free the runtime."""
        self._runner.close()

    def _check(self, feeds: Mapping[str, NDArray[np.generic]]) -> None:
        import numpy as np

        wanted = {i.name: i for i in self.inputs}
        if set(feeds) != set(wanted):
            raise DataError("inputs", f"got {sorted(feeds)}, the model takes {sorted(wanted)}", "name each input once")
        for name, array in feeds.items():
            info = wanted[name]
            fits = len(info.shape) == array.ndim and all(
                w is None or w == g for w, g in zip(info.shape, array.shape, strict=True)
            )
            if not fits or array.dtype != info.dtype:
                raise DataError(
                    f"input {name}",
                    f"it is {array.dtype} {array.shape}, the model takes {info.dtype} {info.shape}",
                    "reshape or convert it",
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataError(f"input {name}", "it has NaN or Inf", "clean it first")


def load(bundle: str | Path, *, threads: int = 0) -> LoadedBundle:
    """Open a bundle on the runtime it was made for.

    Raises:
        DataError: not a bundle.
        TargetError: its runtime is not on this machine.
    """
    path = Path(bundle)
    manifest = open_bundle(path)
    return LoadedBundle(runnable_target(manifest, threads=threads).load(inside(path, manifest.artifact["path"])))
