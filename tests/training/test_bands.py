"""Data of many bands and deep pixels from files to masks: the range is kept with the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import segloom
from segloom.config import RunConfig
from segloom.config.data import DataConfig
from segloom.data import build_dataset
from segloom.data.pixel_format import find_pixel_format
from segloom.data_check import check
from segloom.errors import ConfigError, DataError
from segloom.models.weights.checkpoint import from_pretrained
from segloom.training import train

NAMES = ("ground", "square")


def write(root: Path, number: int = 4, *, dtype: str = "uint16", peak: float = 4000.0) -> Path:
    """Write squares that the last band alone shows."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for kind in ("images", "masks"):
            (root / split / kind).mkdir(parents=True)
        for index in range(count):
            mask = np.zeros((32, 32), np.uint8)
            top, left = rng.integers(0, 16, 2)
            mask[top : top + 16, left : left + 16] = 1
            pixels = rng.uniform(0, 0.5 * peak, (32, 32, number))
            pixels[..., -1] += mask * 0.5 * peak
            options = {"photometric": "minisblack", "planarconfig": "contig"}
            path = root / split / "images" / f"{split}{index}.tif"
            image = pixels.astype(dtype)
            tifffile.imwrite(path, image if number > 1 else image[..., 0], **options)
            Image.fromarray(mask).save(root / split / "masks" / f"{split}{index}.png")
    return root


def data(root: Path, **options: object) -> DataConfig:
    values = {"root": root, "classes": NAMES, "cache": False, **options}
    return DataConfig.model_validate(values)


def run_config(root: Path, out: Path, **options: object) -> RunConfig:
    model = {"architecture": "fpn", "encoder_name": "tu-test_efficientnet", **options}
    model = {"encoder_weights": None, **model}
    return RunConfig.model_validate(
        {
            "data": {**data(root).model_dump(), "batch_size": 2, "crop": (32, 32)},
            "model": model,
            "train": {"epochs": 1, "out": out, "threads": 1},
        }
    )


@pytest.mark.parametrize(("number", "dtype"), [(4, "uint16"), (6, "float32"), (2, "uint8")])
def test_the_range_of_every_band_comes_from_the_training_set(tmp_path, number, dtype):
    peak = 200.0 if dtype == "uint8" else 4000.0
    root = write(tmp_path, number, dtype=dtype, peak=peak)
    form = find_pixel_format(data(root))
    stored = [tifffile.imread(p) for p in sorted((root / "train/images").iterdir())]
    values = np.concatenate([pixels.reshape(-1, number) for pixels in stored]).astype(float)
    low, high = np.percentile(values, (0.5, 99.5), axis=0)
    np.testing.assert_allclose(form.low, low, rtol=1e-5)
    np.testing.assert_allclose(form.high, high, rtol=1e-5)
    sample = build_dataset(data(root), "val")[0]["image"].permute(1, 2, 0).numpy()
    assert sample.shape == (32, 32, number)
    first = tifffile.imread(root / "val/images/val0.tif").astype(float)
    expected = np.rint(((first - low) / (high - low) * 255).clip(0, 255))
    assert np.abs(sample - expected).max() <= 1
    scaled = form.scale(values[None].astype(np.float32))[0] / 255
    np.testing.assert_allclose(form.mean, scaled.mean(axis=0), rtol=1e-4)


def test_grey_of_twelve_bits_uses_all_of_eight(tmp_path):
    root = write(tmp_path, 1)
    image = build_dataset(data(root), "train")[0]["image"]
    assert image.shape == (3, 32, 32)
    assert (int(image.min()), int(image.max())) == (0, 255)
    full = build_dataset(data(root, value_range="full"), "train")[0]["image"]
    assert int(full.max()) == 15  # the high byte of values up to 4000
    stated = build_dataset(data(root, value_range=(0, 8000)), "train")[0]["image"]
    assert 120 <= int(stated.max()) <= 128


def test_training_evaluation_and_prediction_see_the_same_pixels(tmp_path):
    root = write(tmp_path / "data")
    result = train(run_config(root, tmp_path / "run"))
    form = find_pixel_format(data(root))
    model = from_pretrained(result.path)
    assert model.pixels == form
    assert model.input_channels == 4
    np.testing.assert_allclose(model.normalization[0], form.mean, rtol=1e-6)
    assert segloom.evaluate(result.path, split="val").scores["mIoU"] is not None
    path = root / "val/images/val0.tif"
    segmenter = segloom.load(result.path)
    answer = segmenter(path)
    np.testing.assert_array_equal(answer.image, form.read(path))
    np.testing.assert_array_equal(answer.label_map, segmenter.predictor.label_map(form.read(path)))
    assert answer.overlay().shape == (32, 32, 3)


def test_a_geotiff_of_many_deep_bands_is_scaled_as_in_training(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from segloom.images.geo import Window, open_raster

    root = write(tmp_path / "data")
    form = find_pixel_format(data(root))
    pixels = tifffile.imread(root / "val/images/val0.tif")
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 5400000)
    profile = {"driver": "GTiff", "height": 32, "width": 32, "count": 4, "dtype": "uint16"}
    path = tmp_path / "geo.tif"
    with rasterio.open(path, "w", crs="EPSG:32632", transform=transform, **profile) as file:
        file.write(np.moveaxis(pixels, 2, 0))
    with open_raster(path) as raster:
        read = raster.read(Window(3, 5, 20, 10), 4, form)
    np.testing.assert_array_equal(read, form.scale(pixels)[3:23, 5:15])


def test_channels_that_the_data_does_not_have_are_refused_before_the_network(tmp_path):
    root = write(tmp_path / "data", 3, dtype="uint8", peak=200.0)
    with pytest.raises(
        ConfigError, match=r"model\.in_channels is 4, but the images are read with 3"
    ):
        train(run_config(root, tmp_path / "run", in_channels=4))


def test_images_of_other_bands_are_named(tmp_path):
    root = write(tmp_path)
    odd = root / "train/images/train3.tif"
    tifffile.imwrite(odd, np.zeros((32, 32, 5), np.uint16), photometric="minisblack")
    with pytest.raises(DataError, match=r"bands, but .*train0\.tif has 4"):
        build_dataset(data(root), "train")


def test_the_check_reads_such_images(tmp_path):
    report = check(write(tmp_path), classes=NAMES)
    assert report.is_fine, report.findings
    assert report.sizes == {"32x32": 6}
    note = next(found for found in report.findings if found.kind == "value-range")
    assert note.message.startswith("images have 4 bands, of which ")


@pytest.mark.parametrize("augment", [{"rotate": 20}, {"rotate": 0}])
def test_random_views_keep_all_bands(tmp_path, augment):
    root = write(tmp_path, 6, dtype="float32")
    config = data(root, crop=(40, 24), augment={"blur": 1.0, "jitter": 0.5, **augment})
    image = build_dataset(config, "train", augment=True)[0]["image"]
    assert image.shape == (6, 40, 24)


def test_the_cache_keeps_all_bands(tmp_path):
    root = write(tmp_path / "data", 5)
    config = data(root, cache=True, cache_dir=tmp_path / "cache")
    fresh = build_dataset(config, "train")[0]
    again = build_dataset(config, "train")[0]
    np.testing.assert_array_equal(fresh["image"].numpy(), again["image"].numpy())
    np.testing.assert_array_equal(fresh["mask"].numpy(), again["mask"].numpy())
    assert len(list((tmp_path / "cache").rglob("*.sample"))) == 1


BANDS = ("B02", "B03", "B04", "B08")


def split_bands(root: Path, place: str = "{split}/images/{name}_{band}.tif") -> Path:
    """Write every band of `write` into a file of its own."""
    for path in sorted(root.glob("*/images/*.tif")):
        pixels = tifffile.imread(path)
        path.unlink()
        for number, band in enumerate(BANDS):
            split = path.parts[-3]
            target = root / place.format(split=split, name=path.stem, band=band)
            target.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(target, pixels[..., number], photometric="minisblack")
    return root


@pytest.mark.parametrize(
    ("place", "options"),
    [
        ("{split}/images/{name}_{band}.tif", {}),
        ("{split}/images/{name}_{band}_10m.tif", {"image_ending": "_{band}_10m"}),
        ("{split}/{band}/{name}.tif", {"images": "{split}/{band}"}),
    ],
)
def test_bands_in_files_of_their_own_are_those_of_one_file(tmp_path, place, options):
    whole = build_dataset(data(write(tmp_path / "one")), "train")
    root = split_bands(write(tmp_path / "four"), place)
    report = check(root, classes=NAMES)
    assert not report.is_fine
    assert "data.bands: [B02, B03, B04, B08]" in str(report.findings)
    parts = build_dataset(data(root, bands=BANDS, **options), "train")
    assert len(parts) == len(whole)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one["image"].numpy(), other["image"].numpy())
        np.testing.assert_array_equal(one["mask"].numpy(), other["mask"].numpy())


def test_missing_and_odd_bands_are_named(tmp_path):
    root = split_bands(write(tmp_path))
    config = data(root, bands=BANDS)
    odd = root / "train/images/train0_B04.tif"
    tifffile.imwrite(odd, np.zeros((16, 16), np.uint16))
    with pytest.raises(DataError, match=r"train0_B04.tif is 16 x 16 pixels but .*B02.tif is 32"):
        build_dataset(config, "train")
    odd.unlink()
    with pytest.raises(DataError, match=r"the band .*train0_B04.tif of .* does not exist"):
        build_dataset(config, "train")
    for changes, sentence in (
        ({"bands": (), "images": "{split}/{band}"}, "holds {band}, but data.bands names none"),
        ({"value_range": "full"}, "state the range, such as 0 65535"),
        ({"picture_bands": (5, 2, 1)}, "goes beyond the 4 bands"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            build_dataset(data(write(tmp_path / sentence), **changes), "train") if (
                "picture_bands" in changes
            ) else build_dataset(config.model_copy(update=changes), "train")


@pytest.mark.parametrize("order", ["HWC", "CHW"])
def test_arrays_of_numpy_are_images(tmp_path, order):
    root = write(tmp_path, 4, dtype="float32")
    expected = [sample["image"].numpy() for sample in build_dataset(data(root), "train")]
    for path in sorted(root.glob("*/images/*.tif")):
        pixels = tifffile.imread(path)
        np.save(path.with_suffix(".npy"), pixels if order == "HWC" else np.moveaxis(pixels, 2, 0))
        path.unlink()
    for path in sorted(root.glob("*/masks/*.png")):
        np.save(path.with_suffix(".npy"), np.asarray(Image.open(path)).astype(np.int64))
        path.unlink()
    report = check(root, classes=NAMES)
    assert report.is_fine, report.findings
    found = [sample["image"].numpy() for sample in build_dataset(data(root), "train")]
    np.testing.assert_array_equal(found, expected)
    assert {int(v) for s in build_dataset(data(root), "val") for v in s["mask"].unique()} == {0, 1}
    np.save(root / "train/images/train0.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"train0.npy cannot be read"):
        build_dataset(data(root), "train")


@pytest.mark.parametrize("kind", ["bands in files", "one file", "grey", "arrays"])
def test_an_export_answers_the_files_of_its_training_as_the_run_does(tmp_path, kind, capsys):
    from segloom.cli.main import main
    from segloom.exports import export
    from segloom.runtime import load

    root = write(tmp_path / "data", 1 if kind == "grey" else 4)
    options: dict[str, object] = {"picture_bands": (4, 2, 1)} if kind != "grey" else {}
    if kind == "bands in files":
        split_bands(root)
        options["bands"] = BANDS
    if kind == "arrays":
        for path in sorted(root.glob("*/images/*.tif")):
            np.save(path.with_suffix(".npy"), tifffile.imread(path))
            path.unlink()
    config = run_config(root, tmp_path / "run")
    config = config.model_copy(update={"data": data(root, **options, batch_size=2, crop=(32, 32))})
    run = train(config).path
    form = find_pixel_format(data(root, **options))
    exported = export(run, tmp_path / "export", split="val").folder
    assert load(exported).pixel_format == form == from_pretrained(run).pixels
    images = str(root / "val/images")
    for network, out in ((run, "own"), (exported, "other")):
        assert main(["predict", str(network), images, "--out", str(tmp_path / out)]) == 0
    own = {path.name: path.read_bytes() for path in (tmp_path / "own").glob("*.png")}
    other = {path.name: path.read_bytes() for path in (tmp_path / "other").glob("*.png")}
    assert own == other
    assert len({name for name in own if name.endswith("_label.png")}) == 2
    first = sorted((root / "val/images").iterdir())[0]
    answer, segmenter = load(exported)(first), segloom.load(run)
    np.testing.assert_array_equal(answer.label_map, segmenter(first).label_map)
    np.testing.assert_array_equal(answer.overlay(), segmenter(first).overlay())
    if kind != "grey":
        np.testing.assert_array_equal(answer._rgb(), form.read(first)[..., [3, 1, 0]])
    assert export(run, tmp_path / "again", images=images).findings is not None


@pytest.mark.parametrize("layout", ["coco", "labelme", "several masks"])
def test_other_readers_of_image_files_take_all_bands_too(tmp_path, layout):
    import json

    root = write(tmp_path / "folder", 5)
    expected = [sample["image"].numpy() for sample in build_dataset(data(root), "train")]
    square = [[16, 0, 32, 0, 32, 16, 16, 16]]
    changes: dict[str, object] = {"name": {"several masks": "mask_files"}.get(layout, layout)}
    for split in ("train", "val"):
        folder, images = root / split, sorted((root / split / "images").iterdir())
        entries = [
            {"id": n, "file_name": f"images/{path.name}", "height": 32, "width": 32}
            for n, path in enumerate(images)
        ]
        things = [
            {"id": n, "image_id": n, "category_id": 1, "iscrowd": 0, "segmentation": square}
            for n in range(len(images))
        ]
        kinds = [{"id": 1, "name": "square"}]
        if layout == "coco":
            content = {"images": entries, "annotations": things, "categories": kinds}
            (folder / "_annotations.coco.json").write_text(json.dumps(content))
        for path in images if layout == "labelme" else ():
            shape = {"label": "square", "shape_type": "rectangle", "points": [[2, 2], [9, 9]]}
            facts = {"imagePath": path.name, "shapes": [shape]}
            path.with_suffix(".json").write_text(json.dumps(facts))
        for path in sorted((folder / "masks").iterdir()) if layout == "several masks" else ():
            path.rename(path.with_name(f"{path.stem}_square_0.png"))
    config = data(root, classes=("background", "square"), **changes)
    dataset = build_dataset(config, "train")
    found = {sample["meta"]["path"]: sample["image"].numpy() for sample in dataset}
    for number, image in enumerate(expected):
        path = root / f"train/images/train{number}.tif"
        np.testing.assert_array_equal(found[str(path)], image)
