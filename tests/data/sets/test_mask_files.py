"""Several masks per image, of classes or of objects: training gets the pixels that were drawn."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion

from segloom.config import DataConfig
from segloom.data.readers import read_labelled_source
from segloom.data_check import check
from segloom.errors import ConfigError, DataError
from segloom.labels.bits import class_map
from tests.data.sets.exports import Samples, objects, save_png

CLASSES = ("background", "border", "nucleus")


@pytest.fixture(scope="module")
def samples(shared: Path) -> Samples:
    """Six images of nuclei; the outermost pixels of a nucleus are a class of their own."""
    found = {}
    folder = shared / "data" / "samples" / "nuclei" / "train"
    for number, path in enumerate(sorted((folder / "images").iterdir())[:6]):
        mask = np.asarray(Image.open(next((folder / "masks").glob(f"{path.stem}.*")))) > 0
        mask = mask if mask.ndim == 2 else mask.any(-1)
        labels = np.where(mask, np.where(binary_erosion(mask), 2, 1), 0).astype(np.uint8)
        found[f"{'abcdef'[number]}_{number}"] = (
            np.asarray(Image.open(path).convert("RGB"))[:48, :64],
            labels[:48, :64],
        )
    return found


def write(root: Path, samples: Samples, image: str, mask: str, *, per_object: bool = True) -> None:
    """Write the images, and a mask per object or per class."""
    for name, (pixels, labels) in samples.items():
        save_png(root / image.format(x=name), pixels)
        for class_id, label in enumerate(CLASSES[1:], 1):
            drawn = objects(labels, class_id) if per_object else [labels == class_id]
            for number, one in enumerate(drawn):
                digest = hashlib.sha256(f"{name}{label}{number}".encode()).hexdigest()
                place = mask.format(x=name, label=label, n=number, hash=digest)
                save_png(root / place, (one * 255).astype(np.uint8))


def decode(config: DataConfig) -> dict[str, np.ndarray]:
    decoded = {}
    for split in ("train", "val", "test"):
        source, _, decoder = read_labelled_source(config, split)
        for record in source.records:
            decoded[record.image.stem] = source.decode(record, decoder).mask
    return decoded


LAYOUTS = {
    "the class and a number behind the name": ("images/{x}.png", "masks/{x}_{label}_{n}.png"),
    "other signs, other words": ("img/{x}.png", "gt/{x}-mask-{label} ({n}).png"),
    "one folder": ("{x}.png", "{x}_{label}_{n}.png"),
    "one folder, the number first": ("{x}.png", "{x}_{n:03}_{label}.png"),
    "a folder per image": ("images/{x}.png", "masks/{x}/{label}_{n}.png"),
    "a folder per image, glued numbers": ("images/{x}.png", "masks/{x}/{label}{n}.png"),
    "folders per image and class": ("images/{x}.png", "masks/{x}/{label}/{n}.png"),
    "a folder per class": ("images/{x}.png", "masks/{label}/{x}_{n}.png"),
    "hashes in a folder per class": ("images/{x}.png", "masks/{label}/{x}_{hash}.png"),
    "a folder per image for both": ("{x}/images/{x}.png", "{x}/masks/{label}_{n}.png"),
    "another end of the image": ("images/{x}_image.png", "labels/{x}_{label}_{n}.png"),
    "below": ("data/stage1_train/{x}/image/{x}.png", "data/stage1_train/{x}/mask/{label}.{n}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_objects_are_united_to_the_pixels_that_were_drawn(
    layout: str, samples: Samples, tmp_path: Path
) -> None:
    write(tmp_path, samples, *LAYOUTS[layout])
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["name"] == "mask_files"
    assert report.options["classes"] == list(CLASSES)
    decoded = decode(DataConfig.model_validate(report.options))
    assert len(decoded) == len(samples)
    for name, (_, labels) in samples.items():
        found = decoded.get(name, decoded.get(f"{name}_image"))
        np.testing.assert_array_equal(found, labels)


def two(root: Path, low: np.ndarray, high: np.ndarray, names: str = "{x}_{label}.png") -> None:
    """Write ten images whose masks are those of two classes, cell and nucleus."""
    rng = np.random.default_rng(0)
    for number in range(10):
        save_png(root / f"images/i{number}.png", rng.integers(0, 255, (*low.shape, 3), np.uint8))
        for label, mask in (("cell", low), ("nucleus", high)):
            path = root / "masks" / names.format(x=f"i{number}", label=label)
            save_png(path, (mask * 255).astype(np.uint8))


LOW, HIGH = np.zeros((2, 20, 24), bool)
LOW[2:12, 2:14] = True
HIGH[8:18, 8:20] = True


@pytest.mark.parametrize("classes", [(), ("background", "nucleus", "cell")])
def test_where_classes_overlap_the_later_one_is_read_and_it_is_said(tmp_path, classes):
    two(tmp_path, LOW, HIGH)
    report = check(tmp_path, classes=classes)
    assert report.is_fine
    first, second = ("nucleus", "cell") if classes else ("cell", "nucleus")
    note = next(finding for finding in report.findings if finding.kind == "overlap")
    assert f"{first} and {second} (" in note.message
    assert f"{(LOW & HIGH).sum() * report.splits['train'].pairs:,} pixels" in note.message
    expected = np.where(HIGH, 2, np.where(LOW, 1, 0))
    if classes:
        expected = np.where(LOW, 2, np.where(HIGH, 1, 0))
    for mask in decode(DataConfig.model_validate(report.options)).values():
        np.testing.assert_array_equal(mask, expected)


def test_multilabel_keeps_both_classes(tmp_path):
    two(tmp_path, LOW, HIGH)
    config = DataConfig(name="mask_files", root=tmp_path, mask_format="multilabel")
    labels = read_labelled_source(config, "train")[1]
    assert (labels.classes, labels.is_multilabel) == (("cell", "nucleus"), True)
    for bits in decode(config).values():
        np.testing.assert_array_equal(class_map(bits, 0, 2), LOW)
        np.testing.assert_array_equal(class_map(bits, 1, 2), HIGH)


def test_folders_of_classes_that_never_overlap_have_one_class_per_pixel(tmp_path):
    two(tmp_path, LOW & ~HIGH, HIGH, "{label}/{x}.png")
    report = check(tmp_path)
    assert report.is_fine
    assert report.options["name"] == "mask_files"
    for mask in decode(DataConfig.model_validate(report.options)).values():
        np.testing.assert_array_equal(mask, np.where(HIGH, 2, np.where(LOW, 1, 0)))


def test_masks_that_cover_everything_need_no_background(tmp_path):
    two(tmp_path, ~HIGH, HIGH)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["classes"] == ["cell", "nucleus"]
    for mask in decode(DataConfig.model_validate(report.options)).values():
        np.testing.assert_array_equal(mask, HIGH)


def test_without_a_background_among_the_classes_the_rest_is_void(tmp_path):
    two(tmp_path, LOW, HIGH)
    config = DataConfig(name="mask_files", root=tmp_path, classes=("cell", "nucleus"))
    expected = np.where(HIGH, 1, np.where(LOW, 0, 255))
    for mask in decode(config).values():
        np.testing.assert_array_equal(mask, expected)
    named = DataConfig(name="mask_files", root=tmp_path, classes=("glass", "cell", "nucleus"))
    for mask in decode(named).values():  # no mask is called so: whatever lies under none
        np.testing.assert_array_equal(mask, np.where(HIGH, 2, np.where(LOW, 1, 0)))


def test_classes_that_are_not_named_are_left_out_and_it_is_said(tmp_path):
    two(tmp_path, LOW, HIGH)
    config = DataConfig(name="mask_files", root=tmp_path, classes=("background", "nucleus"))
    notes = read_labelled_source(config, "train")[0].notes
    assert any("masks of 'cell' are left out" in note for note in notes)
    for mask in decode(config).values():
        np.testing.assert_array_equal(mask, HIGH)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("masks/cell", "cell"), ("masks/Red Cell", "Red Cell"), ("masks/PNG", "foreground"),
     ("masks", "foreground"), ("masks/instances", "foreground"), ("drawn/cell", "foreground")],
)  # fmt: skip
def test_a_folder_of_masks_of_one_class_names_it(tmp_path, folder, name):
    rng = np.random.default_rng(0)
    for number in range(10):
        save_png(tmp_path / f"images/i{number}.png", rng.integers(0, 255, (20, 24, 3), np.uint8))
        for place, mask in enumerate((LOW, HIGH)):
            save_png(tmp_path / folder / f"i{number}_{place}.png", (mask * 255).astype(np.uint8))
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["classes"] == ["background", name]
    for mask in decode(DataConfig.model_validate(report.options)).values():
        np.testing.assert_array_equal(mask, LOW | HIGH)


def test_numbers_are_classes_where_they_are_named_so(tmp_path):
    two(tmp_path, LOW, HIGH, "{x}_{label}.png")
    for path in sorted((tmp_path / "masks").iterdir()):
        name = path.name.replace("cell", "grade_1").replace("nucleus", "grade_2")
        path.rename(path.with_name(name))
    report = check(tmp_path)
    assert report.options["classes"] == ["background", "grade"]
    assert "if they are classes, name these in data.classes" in str(report.findings)
    report = check(tmp_path, classes=("background", "grade_1", "grade_2"))
    for mask in decode(DataConfig.model_validate(report.options)).values():
        np.testing.assert_array_equal(mask, np.where(HIGH, 2, np.where(LOW, 1, 0)))


def test_a_mask_of_void_is_void_and_one_of_background_draws_nothing(tmp_path):
    two(tmp_path, LOW, HIGH)
    for path in sorted((tmp_path / "masks").glob("*cell*")):
        path.rename(path.with_name(path.name.replace("cell", "ignore")))
    config = DataConfig(name="mask_files", root=tmp_path)
    for mask in decode(config).values():
        np.testing.assert_array_equal(mask, np.where(LOW, 255, HIGH))
    for path in sorted((tmp_path / "masks").glob("*ignore*")):
        path.rename(path.with_name(path.name.replace("ignore", "Background")))
    for mask in decode(config).values():
        np.testing.assert_array_equal(mask, HIGH)


def red(mask: np.ndarray, path: Path) -> None:
    Image.fromarray((mask[..., None] * np.array([200, 10, 20])).astype(np.uint8)).save(path)


def alpha(mask: np.ndarray, path: Path) -> None:
    shape = np.zeros((*mask.shape, 4), np.uint8)
    shape[..., 3] = mask * 255
    Image.fromarray(shape).save(path)


def colored_alpha(mask: np.ndarray, path: Path) -> None:
    shape = np.where(mask[..., None], [200, 10, 20, 255], 0).astype(np.uint8)
    Image.fromarray(shape).save(path)


def palette(mask: np.ndarray, path: Path) -> None:
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(path)


def white_first(mask: np.ndarray, path: Path) -> None:
    image = Image.fromarray((~mask).astype(np.uint8))
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(path)


def deep(mask: np.ndarray, path: Path) -> None:
    Image.fromarray((mask * 65535).astype(np.uint16)).save(path)


def bit(mask: np.ndarray, path: Path) -> None:
    Image.fromarray(mask).save(path)


def one(mask: np.ndarray, path: Path) -> None:
    Image.fromarray(mask.astype(np.uint8)).save(path)


def tiff(mask: np.ndarray, path: Path) -> None:
    Image.fromarray((mask * 255).astype(np.uint8)).save(path.with_suffix(".tif"))


def numbered(mask: np.ndarray, path: Path) -> None:
    ids = np.where(mask, 1 + (np.arange(mask.shape[1]) // 7), 0)
    ranks = np.unique(ids, return_inverse=True)[1].reshape(mask.shape)
    Image.fromarray(ranks.astype(np.uint16)).save(path.with_suffix(".tif"))


@pytest.mark.parametrize("kind", ["jpeg", "resized"])
def test_smeared_masks_are_read_by_the_nearest_value(kind, tmp_path):
    two(tmp_path, LOW, HIGH)
    for path in sorted((tmp_path / "masks").iterdir()):
        image = Image.open(path)
        image.load()
        path.unlink()
        if kind == "jpeg":
            image.save(path.with_suffix(".jpg"), quality=90)
        else:
            image.resize((48, 40), Image.Resampling.BICUBIC).resize(image.size, 2).save(path)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    for mask in decode(DataConfig.model_validate(report.options)).values():
        assert (mask == np.where(HIGH, 2, np.where(LOW, 1, 0))).mean() > 0.99


@pytest.mark.parametrize(
    "save",
    [red, alpha, colored_alpha, palette, white_first, deep, bit, one, tiff, numbered],
)
def test_every_form_of_yes_and_no_is_read(save, tmp_path):
    two(tmp_path, LOW, HIGH)
    for path in sorted((tmp_path / "masks").iterdir()):
        path.unlink()
        save(LOW if "cell" in path.name else HIGH, path)
    report = check(tmp_path)
    assert report.is_fine, report.findings
    assert report.options["name"] == "mask_files"
    for mask in decode(DataConfig.model_validate(report.options)).values():
        np.testing.assert_array_equal(mask, np.where(HIGH, 2, np.where(LOW, 1, 0)))


def test_what_cannot_be_read_is_one_sentence(tmp_path):
    two(tmp_path, LOW, HIGH)
    config = DataConfig(name="mask_files", root=tmp_path, split_shares=(1, 0, 0))
    path = tmp_path / "masks/i0_cell.png"
    grey = np.linspace(0, 200, LOW.size).reshape(LOW.shape).astype(np.uint8)
    for pixels, sentence in (
        (np.zeros((21, 24), np.uint8), r"mask .*i0_cell.png is 24 x 21 pixels but its image"),
        (np.full(LOW.shape, 7, np.uint8), r"i0_cell.png holds 7, but a mask of one class holds 0"),
        (grey, r"i0_cell.png holds 2, 3, 4, .* but a mask of one class"),
        (np.where(LOW, 1, HIGH * 255).astype(np.uint8), r"holds both 1 and 255; if 255 means void"),
        (np.random.default_rng(0).integers(0, 255, (20, 24, 3), np.uint8), r"holds colours; expo"),
    ):
        save_png(path, pixels)
        with pytest.raises(DataError, match=sentence):
            decode(config)
    with pytest.raises(ConfigError, match="takes the class from the name of a file; leave it out"):
        decode(config.model_copy(update={"label_map": {"0": 1}}))


def test_names_that_do_not_go_together_are_refused(tmp_path):
    two(tmp_path, LOW, HIGH)
    config = DataConfig(name="mask_files", root=tmp_path)
    (tmp_path / "masks/i3_cell.png").rename(tmp_path / "masks/j3_cell.png")
    notes = read_labelled_source(config, "train")[0].notes
    assert any("1 masks have no image and are left out, such as" in note for note in notes)
    (tmp_path / "masks/i3_nucleus.png").rename(tmp_path / "masks/j3_nucleus.png")
    lonely = r"j3_cell.png has the name of no image \(nor have 1 more\), and 1 images have no mask"
    with pytest.raises(DataError, match=lonely):
        decode(config)
    for number, path in enumerate(sorted((tmp_path / "masks").iterdir())):
        path.rename(path.with_name(f"task-{number // 2}-annotation-1-by-1-tag-cell-{number}.png"))
    with pytest.raises(DataError, match="brush masks do not say their image, so export JSON there"):
        decode(config)


def test_names_in_other_capitals_and_other_forms_of_accents_are_found(tmp_path):
    two(tmp_path, LOW, HIGH)
    (tmp_path / "images/i0.png").rename(tmp_path / "images/Zelle\u00e9.PNG")
    for label in ("cell", "nucleus"):
        target = tmp_path / f"masks/ZELLEe\u0301_{label.title()}.png"
        (tmp_path / f"masks/i0_{label}.png").rename(target)
    (tmp_path / "images").rename(tmp_path / "Images")
    (tmp_path / "masks").rename(tmp_path / "Masks")
    decoded = decode(DataConfig(name="mask_files", root=tmp_path))
    np.testing.assert_array_equal(decoded["Zelle\u00e9"], np.where(HIGH, 2, np.where(LOW, 1, 0)))


def test_pictures_beside_a_label_map_are_no_masks_of_classes(tmp_path):
    two(tmp_path, LOW, HIGH)
    for path in sorted((tmp_path / "masks").iterdir()):
        path.rename(
            path.with_name(path.name.replace("cell", "mask").replace("nucleus", "mask_edge"))
        )
    assert check(tmp_path).options.get("name") != "mask_files"
