"""A sample from its files: image, label map and edges of one size, or a sentence."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from segloom.data.planes import PlainDecoder, check_size, decode_sample, read_edges
from segloom.errors import DataError
from segloom.images.pixels import PixelFormat
from segloom.labels.decoder import make_decoder
from segloom.types import Record

IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
MASK = np.array([[0, 1, 2, 255, 0, 1]] * 4, np.uint8)


@pytest.fixture
def files(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    Image.fromarray(MASK).save(tmp_path / "mask.png")
    Image.fromarray(IMAGE[::-1]).save(tmp_path / "edge.png")
    return tmp_path


def record(folder, **changes):
    paths = {"image": folder / "image.png", "mask": folder / "mask.png", **changes}
    return Record("a", **paths)


def test_a_sample_has_its_image_and_label_map(files):
    planes = decode_sample(record(files), make_decoder(3, "index"))
    assert (planes.image == IMAGE).all()
    assert (planes.mask == MASK).all()
    assert planes.edge is None


def test_edges_are_the_green_of_their_picture(files):
    planes = decode_sample(record(files, edge=files / "edge.png"), make_decoder(3, "index"))
    assert (planes.edge == IMAGE[::-1, :, 1]).all()
    assert planes.edge.flags.c_contiguous


def test_a_format_scales_the_pixels(files):
    wide = PixelFormat((0.0,) * 3, (144.0,) * 3)
    image = decode_sample(record(files), make_decoder(3, "index"), wide).image
    np.testing.assert_allclose(image, IMAGE * (255 / 144), atol=1)
    decoder = PlainDecoder(wide)
    assert (
        pickle.loads(pickle.dumps(decoder))(record(files), make_decoder(3, "index")).image == image
    ).all()
    assert decoder.fingerprint == wide.fingerprint != PlainDecoder().fingerprint == ""
    assert not decoder.is_sequential


def test_an_image_without_a_label_map_is_named(files):
    with pytest.raises(DataError, match=r"image\.png has no label map; add one or leave"):
        decode_sample(record(files, mask=None), make_decoder(3, "index"))


@pytest.mark.parametrize("kind", ["mask", "edge"])
def test_another_size_is_named_with_both_files_in_width_by_height(files, kind):
    name = "label map" if kind == "mask" else "edge map"
    Image.fromarray(MASK[:, :5]).save(files / "small.png")
    message = rf"^{name} .*small\.png is 5 x 4 pixels but its image .*image\.png is 6 x 4; export"
    with pytest.raises(DataError, match=message):
        decode_sample(record(files, **{kind: files / "small.png"}), make_decoder(3, "index"))


def test_a_turned_image_is_told_as_such(files):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = files / "turned.jpg"
    Image.fromarray(IMAGE).save(turned, exif=exif)
    with pytest.raises(DataError, match="EXIF orientation of the image turns it"):
        decode_sample(record(files, image=turned), make_decoder(3, "index"))
    with pytest.raises(DataError, match="export both at one size"):
        check_size((4, 6), MASK.T, files / "image.png", "label map x")
    with pytest.raises(DataError, match="export both at one size"):
        check_size((6, 4), MASK[:, :5], turned, "label map x")
    check_size((4, 6), MASK, turned, "label map x")


def test_missing_edges_are_named(files):
    with pytest.raises(DataError, match=r"no\.png"):
        read_edges(files / "no.png", IMAGE, files / "image.png")
