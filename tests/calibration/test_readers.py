"""Readers give preprocessed inputs with the right labels, and say what is wrong with data that is wrong."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from edgevision.calibration.arrays import Items
from edgevision.calibration.digits import Digits
from edgevision.calibration.kept import Kept
from edgevision.calibration.open_data import open_data
from edgevision.calibration.source import batches
from edgevision.errors import DataError

HOW = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop_pct": 1.0, "interpolation": "bicubic"}
SHAPE = (3, 8, 8)


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)


def test_folder_labels_follow_the_sorted_class_folders(tmp_path: Path) -> None:
    for name, value in (("zebra/1.png", 255), ("ape/1.png", 0), ("ape/2.PNG", 0)):
        picture(tmp_path / name, value)
    source = open_data(str(tmp_path), SHAPE, HOW)
    read = [(s.label, float(s.image.mean())) for s in source]
    assert list(source.classes) == ["ape", "zebra"]
    assert sorted(read) == [(0, -2.0), (0, -2.0), (1, 2.0)]


def test_the_first_pictures_of_a_folder_are_of_all_classes(tmp_path: Path) -> None:
    for i in range(60):
        picture(tmp_path / "abc"[i // 20] / f"{i}.png", i)
    first, again = ([s.label for s in list(open_data(str(tmp_path), SHAPE, HOW))[:16]] for _ in range(2))
    assert first == again
    assert all(first.count(label) >= 3 for label in range(3))


def test_one_corrupt_image_in_a_hundred_is_skipped_and_named_more_are_an_error(tmp_path: Path) -> None:
    for i in range(99):
        picture(tmp_path / f"{i}.png", i)
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    source = open_data(str(tmp_path), SHAPE, HOW)
    assert len(list(source)) == 99
    assert [s.partition(":")[0] for s in source.skipped()] == ["bad.jpg"]
    (tmp_path / "worse.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="more than 1 %"):
        list(source := open_data(str(tmp_path), SHAPE, HOW))


def test_class_folder_without_images_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "b" / "1.png", 1)
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="class folders a"):
        open_data(str(tmp_path), SHAPE, HOW)


@pytest.mark.parametrize("name", ["absent", "absent.npz"])
def test_absent_and_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="there is no such"):
        open_data(str(tmp_path / name), SHAPE, HOW)
    with pytest.raises(DataError, match="no images in it"):
        open_data(str(tmp_path), SHAPE, HOW)


def test_arrays_float_as_they_stand_uint8_preprocessed(tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).standard_normal((3, *SHAPE)).astype(np.float32)
    np.save(tmp_path / "f.npy", inputs)
    np.savez(tmp_path / "u.npz", images=np.full((2, 8, 8, 3), 255, np.uint8), labels=np.array([4, 7]))
    floats = [s.image for s in open_data(str(tmp_path / "f.npy"), SHAPE, None)]
    assert np.array_equal(np.stack(floats), inputs)
    pictures = list(open_data(str(tmp_path / "u.npz"), SHAPE, HOW))
    assert [s.label for s in pictures] == [4, 7]
    assert float(pictures[0].image.min()) == float(pictures[0].image.max()) == 2.0


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"a": np.zeros((2, 3, 8, 8), np.float32), "b": np.zeros(1)}, "it holds a, b"),
        ({"images": np.zeros((0, 3, 8, 8), np.float32)}, "no images"),
        ({"images": np.zeros((2, 3, 8, 8), np.float32), "labels": np.zeros(3, int)}, "labels"),
        ({"images": np.zeros((2, 3, 8, 9), np.float32)}, "the model takes"),
    ],
)
def test_wrong_arrays(tmp_path: Path, held: dict[str, np.ndarray], said: str) -> None:
    np.savez(tmp_path / "w.npz", **held)
    with pytest.raises(DataError, match=said):
        list(open_data(str(tmp_path / "w.npz"), SHAPE, None))


@pytest.mark.parametrize("how", ["npy", "npz", "compressed", "columns first"])
def test_array_files_are_read_row_by_row_and_drawn_from_all_over(tmp_path: Path, how: str) -> None:
    images = np.random.default_rng(0).standard_normal((2000, *SHAPE)).astype(np.float32)
    path = tmp_path / f"images.{'npz' if how in ('npz', 'compressed') else 'npy'}"
    if path.suffix == ".npz":
        (np.savez if how == "npz" else np.savez_compressed)(path, images=images, labels=np.arange(2000))
    else:
        np.save(path, images if how == "npy" else np.asfortranarray(images))
    at, seen = {float(image[0, 0, 0]): i for i, image in enumerate(images)}, []
    tracemalloc.start()
    source = open_data(str(path), SHAPE, None)
    for sample in source:
        seen.append(at[float(sample.image[0, 0, 0])])
        assert np.array_equal(sample.image, images[seen[-1]])
        assert sample.label == (seen[-1] if path.suffix == ".npz" else None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sorted(seen) == list(range(2000))
    assert len({i // 200 for i in seen[:16]}) > 5
    assert len({i // 200 for i in seen[:64]}) == 10  # of ten classes that follow each other
    assert [at[float(sample.image[0, 0, 0])] for sample in source] == seen  # and again in the same order
    assert (peak < images.nbytes / 4) == (how != "columns first")


def test_a_damaged_pixel_is_noticed_and_what_is_not_read_is_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "pixels.npz"
    np.savez(path, images=np.zeros((4, *SHAPE), np.float32), notes=np.array([{}], object))
    assert len(list(open_data(str(path), SHAPE, None))) == 4
    damaged = bytearray(path.read_bytes())
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="not a NumPy file"):
        list(open_data(str(path), SHAPE, None))


@pytest.mark.parametrize("held", [np.array([{}], object), np.zeros(())])
def test_arrays_that_are_no_images(tmp_path: Path, held: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", held, allow_pickle=True)
    with pytest.raises(DataError, match=r"Python objects|no images"):
        open_data(str(tmp_path / "a.npy"), SHAPE, None)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_truncated_array_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    images = np.zeros((4, *SHAPE), np.float32)
    np.savez(path, images=images) if suffix == ".npz" else np.save(path, images)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="not a NumPy file"):
        list(open_data(str(path), SHAPE, None))


def test_digits_and_batches() -> None:
    first = next(iter(Digits((16, 16), HOW)))
    assert first.image.shape == (3, 16, 16)
    assert first.label in range(10)
    assert sum(1 for _ in Digits((8, 8), HOW, indices=range(5))) == 5
    stacked = list(batches(Digits((8, 8), HOW, indices=range(5)), 2))
    assert [images.shape for images, _ in stacked] == [(2, 3, 8, 8)] * 2


def test_kept_images_are_made_once_and_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = []

    def make() -> Iterator[tuple[np.ndarray, int]]:
        for i in range(9):
            made.append(i)
            yield np.full(SHAPE, i, np.float32), i

    kept = Kept(Items(make, SHAPE), limit=5)
    next(iter(kept))  # whoever stops early
    for _ in range(2):
        assert [(s.label, float(s.image[2, 7, 7])) for s in kept] == [(i, float(i)) for i in range(5)]
    assert len(made) <= 6
    assert len(list(tmp_path.iterdir())) == 1
    del kept
    assert not list(tmp_path.iterdir())


def test_iterable_can_be_read_again() -> None:
    source = Items(lambda: ((np.ones(SHAPE, np.float32), i) for i in range(3)), SHAPE)
    assert [s.label for s in source] == [s.label for s in source] == [0, 1, 2]
