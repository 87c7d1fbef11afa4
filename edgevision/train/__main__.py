"""`python -m edgevision.train [MODEL…]`: train the miniatures that come with edgevision, and say what the cards shall state."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from edgevision.hashing import file_sha256
from edgevision.registry import find_variant, variants
from edgevision.train.cross_validation import checkpoint_of, cross_validate


def tell(text: str) -> None:
    """A line on stderr."""
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Cross-validate each model; the first fold's network goes to `--weights`."""
    every = [v.name for v in variants().values() if v.trained is not None]
    parser = argparse.ArgumentParser(prog="python -m edgevision.train", description=__doc__)
    parser.add_argument("models", nargs="*", default=every, help=f"default: {' '.join(every)}")
    parser.add_argument("--folds", type=Path, default=Path("build/digits"), help="folder of the folds' checkpoints")
    parser.add_argument("--weights", type=Path, default=Path("models/weights"), help="folder of what is shipped")
    given = parser.parse_args()
    for name in given.models:
        variant = find_variant(name)
        right = cross_validate(variant.name, given.folds, report=tell)
        shipped = given.weights / f"{variant.name}.pth"
        given.weights.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkpoint_of(given.folds, variant, 0), shipped)
        tell(f'{variant.name}: accuracy = {100 * right.mean():.2f}, sha256 = "{file_sha256(shipped)}"')


if __name__ == "__main__":
    main()
