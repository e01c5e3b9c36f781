"""GeoTIFF in, GeoTIFF out: the same place, the same pixels, in windows of bounded size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segloom.cli.main import main
from segloom.images.geo import is_geotiff
from segloom.labels.space import space_of
from segloom.models.build import create_model
from segloom.models.weights.checkpoint import save_pretrained
from segloom.prediction.files import predict_files
from segloom.prediction.geo import predict_raster, write_geojson
from segloom.types import LabelSet

rasterio = pytest.importorskip("rasterio", reason="needs the extra segloom[geo]")

LABELS = LabelSet(("ground", "roof", "tree"), ((0, 0, 0), (200, 30, 30), (30, 160, 60)))
CRS, ORIGIN, PIXEL = "EPSG:32632", (500_000.0, 5_400_000.0), 0.5


class Blurred:
    """Labels a pixel by the mean of the first band around it, up to 20 pixels away."""

    labels = LABELS
    space = space_of(LABELS)
    takes_edges = False

    def __init__(self, num_channels: int = 3) -> None:
        self.num_channels = num_channels
        self.largest = 0

    def label_map(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        from scipy.ndimage import uniform_filter

        assert image.shape[2] == self.num_channels
        self.largest = max(self.largest, image.shape[0] * image.shape[1])
        mean = uniform_filter(image[..., 0].astype(np.float64), 41)
        return np.digitize(mean, [120, 130]).astype(np.uint8)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise NotImplementedError


def write(path: Path, pixels: NDArray[Any], **facts: Any) -> Path:
    """Write ``(H, W, C)`` at a place in Germany."""
    height, width, bands = pixels.shape
    transform = rasterio.Affine(PIXEL, 0, ORIGIN[0], 0, -PIXEL, ORIGIN[1])
    profile = {"driver": "GTiff", "height": height, "width": width, "count": bands,
               "dtype": pixels.dtype, "crs": CRS, "transform": transform, **facts}  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return path


def scene(height: int = 300, width: int = 420, bands: int = 3) -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=(height, width, bands))
    smooth = gaussian_filter(noise, (15, 15, 0))
    return np.clip(125 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("bands", [3, 4])
def test_windows_give_the_labels_of_the_whole_at_the_same_place(bands: int, tmp_path: Path) -> None:
    pixels = scene(bands=bands)
    file, target = write(tmp_path / "a.tif", pixels), tmp_path / "a_label.tif"
    network = Blurred(bands)
    result = predict_raster(network, file, target, window=128, margin=32)
    expected = Blurred(bands).label_map(pixels)
    assert len(np.unique(expected)) == 3
    assert network.largest == (128 + 64) ** 2
    with rasterio.open(target) as written, rasterio.open(file) as original:
        np.testing.assert_array_equal(written.read(1), expected)
        assert written.crs == original.crs
        assert written.transform == original.transform
        assert written.nodata == 255
        assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert written.colormap(1)[1] == (200, 30, 30, 255)
        assert written.tags()["CLASS_2"] == "tree"
    assert result.size == (300, 420)
    assert result.shares["roof"] == pytest.approx((expected == 1).mean(), rel=1e-4)
    assert [path.name for path in tmp_path.iterdir() if "tiles" in path.name] == []


def test_pixels_without_data_are_void(tmp_path: Path) -> None:
    pixels = np.maximum(scene(), 1)
    pixels[:140, :200] = 0
    target = tmp_path / "a_label.tif"
    result = predict_raster(
        Blurred(), write(tmp_path / "a.tif", pixels, nodata=0), target, window=128
    )
    with rasterio.open(target) as written:
        labels = written.read(1)
        np.testing.assert_array_equal(labels == 255, (pixels == 0).all(-1))
        assert (written.dataset_mask() == 0).sum() == 140 * 200
    assert sum(result.shares.values()) == pytest.approx(1)


def test_a_single_band_is_repeated(tmp_path: Path) -> None:
    pixels = scene(bands=1)
    predict_raster(Blurred(), write(tmp_path / "a.tif", pixels), tmp_path / "b.tif")
    with rasterio.open(tmp_path / "b.tif") as written:
        np.testing.assert_array_equal(written.read(1), Blurred(1).label_map(pixels))


def test_polygons_lie_where_the_raster_lies(tmp_path: Path) -> None:
    labels = np.zeros((20, 30, 1), np.uint8)
    labels[4:10, 5:15], labels[6:8, 7:9], labels[15, 20] = 1, 0, 2
    raster = write(tmp_path / "labels.tif", labels)
    write_geojson(raster, tmp_path / "labels.geojson", LABELS.classes)
    content = json.loads((tmp_path / "labels.geojson").read_text())
    assert content["crs"]["properties"]["name"] == CRS
    roof, tree = content["features"]
    assert (roof["properties"]["class"], tree["properties"]["class_id"]) == ("roof", 2)
    exterior, hole = roof["geometry"]["coordinates"]
    east, north = zip(*exterior, strict=True)
    assert (min(east), max(east)) == (500_002.5, 500_007.5)
    assert (min(north), max(north)) == (5_399_995.0, 5_399_998.0)
    assert {tuple(point) for point in hole} == {
        (500_003.5 + x, 5_399_997.0 - y) for x in (0, 1) for y in (0, 1)
    }
    write_geojson(raster, tmp_path / "large.geojson", LABELS.classes, min_area=2)
    assert len(json.loads((tmp_path / "large.geojson").read_text())["features"]) == 1


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (scene(40, 40, 2), "has 2 bands, but the network takes 3"),
        (scene(40, 40).astype(np.uint16) * 16, "holds uint16, but the network was trained on 8"),
    ],
)
def test_bands_of_another_form_are_refused_by_name(
    pixels: NDArray[Any], sentence: str, tmp_path: Path
) -> None:
    result = predict_raster(Blurred(), write(tmp_path / "a.tif", pixels), tmp_path / "b.tif")
    assert sentence in str(result.error)
    assert str(tmp_path / "a.tif") in str(result.error)
    assert not (tmp_path / "b.tif").exists()


def test_a_file_that_is_cut_short_leaves_nothing_and_stops_nothing(tmp_path: Path) -> None:
    good = write(tmp_path / "good.tif", scene())
    bad = write(tmp_path / "bad.tif", scene(600, 800))
    bad.write_bytes(bad.read_bytes()[:200_000])
    first, second = predict_files(Blurred(), [bad, good], tmp_path / "out")
    assert "cut short" in str(first.error)
    assert second.error is None
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert names == {"good_label.tif"}


def test_a_tiff_without_a_place_is_a_picture(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(scene(20, 20)).save(tmp_path / "photo.tif")
    Image.fromarray(scene(20, 20)).save(tmp_path / "photo.png")
    (tmp_path / "empty.tif").write_bytes(b"")
    assert not any(map(is_geotiff, tmp_path.iterdir()))
    for number, facts in enumerate([{}, {"BIGTIFF": "YES"}, {"ENDIANNESS": "BIG"}]):
        file = write(tmp_path / f"place{number}.TIF", scene(20, 20, 5), **facts)
        assert is_geotiff(file)


def test_the_command_writes_raster_and_polygons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = create_model("fpn", encoder_name="tu-test_resnet", classes=3)
    save_pretrained(model, tmp_path / "run" / "checkpoints" / "best", LABELS)
    file = write(tmp_path / "a.tif", scene(64, 96))
    words = ["predict", str(tmp_path / "run"), str(file), "--out", str(tmp_path / "out")]
    assert main([*words, "--export", "geojson"]) == 0
    with rasterio.open(tmp_path / "out" / "a_label.tif") as written:
        assert written.crs.to_string() == CRS
    assert (tmp_path / "out" / "geojson" / "a.geojson").is_file()
    capsys.readouterr()
    assert main([*words, "--export", "coco"]) == 2
    assert "is a GeoTIFF, which is written as --export geojson alone" in capsys.readouterr().err
