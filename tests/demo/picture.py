"""Draws what the demo found into one picture, `picture.py FOLDER` -> FOLDER/demo.png.

Left the photograph, in the middle the error of every stage of the export against its tolerance, right the distribution
of the measured latencies with their median and its interval.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from PIL import Image


def main(folder: Path) -> None:
    manifest = json.loads((folder / "mobilemamba" / "manifest.json").read_text(encoding="utf-8"))
    profile = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
    figure, (photo, errors, latency) = plt.subplots(1, 3, figsize=(13, 3.8), constrained_layout=True)
    photo.imshow(Image.open(folder / "photograph.png"))
    photo.set_axis_off()
    photo.set_title(manifest["model"]["variant"])
    draw_errors(errors, manifest)
    draw_latency(latency, profile)
    figure.savefig(folder / "demo.png", dpi=110)


def draw_errors(axes: plt.Axes, manifest: dict) -> None:
    stages = [s for s in manifest["stages"] if s["max_abs_over_std"] is not None]
    axes.barh([s["name"] for s in stages], [s["max_abs_over_std"] for s in stages], color="#4878a8")
    axes.axvline(manifest["parity"]["tolerance"], color="#c44", label="tolerance")
    axes.set_xscale("log")
    axes.set_xlim(left=1e-8)
    axes.invert_yaxis()
    axes.set_xlabel("largest error / std of the output")
    axes.set_title(f"parity: {manifest['parity']['status']}")
    axes.legend(frameon=False)


def draw_latency(axes: plt.Axes, profile: dict) -> None:
    found = profile["latency_ms"]
    axes.hist(found["samples"], bins=30, color="#4878a8")
    axes.axvspan(*found["interval"], color="#c44", alpha=0.25, label="95 % interval on the median")
    axes.axvline(found["p50"], color="#c44", label=f"median {found['p50']:.2f} ms")
    axes.set_xlabel("ms a run")
    axes.set_title(f"{profile['runs']} runs, {profile['threads']} thread: {profile['verdict']}")
    axes.legend(frameon=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
