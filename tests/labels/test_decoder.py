"""Label files of every kind become class ids, or an error that names the mend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.errors import ConfigError, DataError
from segloom.labels.decoder import LabelDecoder, detect_format, make_decoder
from segloom.labels.stored import read_labels

IDS = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)
COLORS = ((128, 64, 128), (0, 0, 142), (7, 7, 7))


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def colored() -> np.ndarray:
    return np.array([*COLORS, *[(0, 0, 0)] * 253], np.uint8)[IDS]


def test_ids_are_kept_and_255_is_void(tmp_path):
    path = save(tmp_path / "a.png", IDS)
    np.testing.assert_array_equal(make_decoder(3, "index").decode(path), IDS)


def test_palette_files_are_read_by_index_not_by_luminance(tmp_path):
    image = Image.frombytes("P", IDS.shape[::-1], IDS.tobytes())
    image.putpalette([channel for color in COLORS for channel in color] + [9] * 759)
    image.save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").kind == "palette"
    np.testing.assert_array_equal(make_decoder(3, "index").decode(tmp_path / "a.png"), IDS)


def test_palette_files_can_be_read_by_colour(tmp_path):
    image = Image.frombytes("P", (2, 1), bytes([5, 9]))
    table = [0] * 768
    table[15:18], table[27:30] = COLORS[1], COLORS[0]
    image.putpalette(table)
    image.save(tmp_path / "a.png")
    ids = make_decoder(3, "color", palette=COLORS).decode(tmp_path / "a.png")
    np.testing.assert_array_equal(ids, [[1, 0]])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_looked_up_with_or_without_alpha(tmp_path, mode):
    path = save(tmp_path / "a.png", colored(), mode)
    decoder = make_decoder(3, "color", palette=COLORS, label_map={"0,0,0": 255})
    np.testing.assert_array_equal(decoder.decode(path), IDS)


def test_a_colour_file_that_happens_to_be_grey_is_still_read_as_colours(tmp_path):
    path = save(tmp_path / "a.png", np.full((2, 2, 3), 7, np.uint8))
    assert (make_decoder(3, "color", palette=COLORS).decode(path) == 2).all()


def test_label_map_merges_colours_into_a_class(tmp_path):
    path = save(tmp_path / "a.png", colored())
    decoder = make_decoder(
        2, "color", label_map={"128,64,128": 0, "0,0,142": 1, "7, 7, 7": 1, "0,0,0": 255}
    )
    np.testing.assert_array_equal(decoder.decode(path), [[0, 1, 1], [1, 1, 255]])
    assert decoder.label_map["7,7,7"] == 1


def test_label_map_renumbers_ids_and_void_stays_void(tmp_path):
    path = save(tmp_path / "a.png", IDS)
    decoder = make_decoder(2, "index", label_map={"0": 1, "1": 255, "2": 0})
    np.testing.assert_array_equal(decoder.decode(path), [[1, 255, 0], [0, 255, 255]])


def test_label_map_of_ids_is_complete(tmp_path):
    path = save(tmp_path / "a.png", IDS)
    with pytest.raises(DataError, match=r'a\.png holds values .* 2\..*data\.label_map: {"2": 255}'):
        make_decoder(3, "index", label_map={"0": 0, "1": 1}).decode(path)


def test_ignore_values_become_void(tmp_path):
    path = save(tmp_path / "a.png", IDS)
    ids = make_decoder(2, "index", ignore_values=[2]).decode(path)
    np.testing.assert_array_equal(ids, [[0, 1, 255], [255, 1, 255]])


def test_binary_files_are_cut_at_127(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 9, 127, 128, 250, 255]], np.uint8))
    np.testing.assert_array_equal(make_decoder(2, "binary").decode(path), [[0, 0, 0, 1, 1, 1]])


def test_binary_label_map_may_swap_the_classes(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 255]], np.uint8))
    decoder = make_decoder(2, "binary", label_map={"0": 1, "255": 0})
    np.testing.assert_array_equal(decoder.decode(path), [[1, 0]])
    assert decoder.label_map == {"0": 1, "255": 0}


def test_one_bit_files_are_ids_and_binary_alike(tmp_path):
    path = save(tmp_path / "a.png", np.array([[True, False]]))
    for mask_format in ("index", "binary"):
        np.testing.assert_array_equal(make_decoder(2, mask_format).decode(path), [[1, 0]])


def test_sixteen_bit_ids_can_be_mapped(tmp_path):
    path = save(tmp_path / "a.png", np.array([[1000, 2]], np.uint16))
    decoder = make_decoder(2, "index", label_map={"1000": 1, "2": 0})
    np.testing.assert_array_equal(decoder.decode(path), [[1, 0]])


def test_exif_orientation_turns_label_maps_like_images(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    path = save(tmp_path / "a.png", np.array([[0, 1]], np.uint8), exif=exif)
    np.testing.assert_array_equal(make_decoder(2, "index").decode(path), [[0], [1]])


def test_unknown_ids_are_refused_with_the_file_the_values_and_the_options(tmp_path):
    path = save(tmp_path / "street.png", np.array([[0, 11, 40]], np.uint8))
    with pytest.raises(DataError) as caught:
        make_decoder(11, "index", ignore_values=[30]).decode(path)
    message = str(caught.value)
    assert "street.png holds values outside the 11 classes: 11; 40." in message
    assert "data.ignore_values: [30, 11, 40]" in message
    assert "shift" not in message


def test_ids_that_start_at_one_get_the_shifted_map_as_advice(tmp_path):
    path = save(tmp_path / "a.png", np.array([[1, 2]], np.uint8))
    with pytest.raises(DataError, match=r'start at 1.*data.label_map: {"1": 0, "2": 1}'):
        make_decoder(2, "index").decode(path)


@pytest.mark.parametrize("ids", [[1, 5], [0, 2], [2, 3]])
def test_other_unknown_ids_are_not_taken_for_shifted_ones(tmp_path, ids):
    path = save(tmp_path / "a.png", np.array([ids], np.uint8))
    with pytest.raises(DataError, match=r"data\.ignore_values") as caught:
        make_decoder(2, "index").decode(path)
    assert "start at 1" not in str(caught.value)


def test_unknown_indices_of_a_palette_file_point_to_the_colours(tmp_path):
    image = Image.frombytes("P", (1, 1), b"\x05")
    image.putpalette([0] * 768)
    image.save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"set data\.mask_format: color"):
        make_decoder(2, "index").decode(tmp_path / "a.png")


def test_unknown_colours_are_refused_with_the_entries_to_add(tmp_path):
    path = save(tmp_path / "a.png", colored())
    with pytest.raises(DataError, match=r'colours .*: 0,0,0\. .*data.label_map: {"0,0,0": 255}'):
        make_decoder(3, "color", palette=COLORS).decode(path)


def test_smeared_colours_of_a_jpeg_are_called_by_their_cause(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2, (32, 32))
    path = save(tmp_path / "a.jpg", np.array(COLORS, np.uint8)[noise])
    with pytest.raises(DataError, match="It is a JPEG"):
        make_decoder(3, "color", palette=COLORS).decode(path)


@pytest.mark.parametrize("value", [0, 2])
def test_a_lossy_file_of_one_class_throughout_is_read_though_ids_lie_side_by_side(tmp_path, value):
    """Nothing in it can have been mixed up."""
    path = save(tmp_path / "a.jpg", np.full((16, 16), value, np.uint8))
    assert (make_decoder(3, "index").decode(path) == value).all()


def test_colours_where_ids_are_expected_are_refused(tmp_path):
    path = save(tmp_path / "a.png", colored())
    with pytest.raises(DataError, match=r"holds colours.*data\.mask_format: color"):
        make_decoder(3, "index").decode(path)


def test_ids_0_and_1_read_as_binary_are_refused_instead_of_read_as_all_dark(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 1]], np.uint8))
    with pytest.raises(DataError, match=r"set data\.mask_format: index"):
        make_decoder(2, "binary").decode(path)


def test_floating_point_labels_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="floating-point"):
        read_labels(tmp_path / "a.tif")


def test_values_beyond_16_bits_are_refused(tmp_path):
    Image.fromarray(np.full((2, 2), 70000, np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="beyond 16 bits"):
        read_labels(tmp_path / "a.tif")


def test_missing_truncated_and_foreign_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png does not exist"):
        read_labels(tmp_path / "gone.png")
    whole = save(tmp_path / "whole.png", np.arange(10000, dtype=np.uint8).reshape(100, 100))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "text.png").write_text("no image")
    for name in ("cut", "text"):
        with pytest.raises(DataError, match=rf"{name}\.png is damaged, cut short or no image"):
            read_labels(tmp_path / f"{name}.png")


def test_options_that_contradict_the_classes_are_refused():
    with pytest.raises(ConfigError, match=r"two classes, but data\.classes names 3"):
        make_decoder(3, "binary")
    with pytest.raises(ConfigError, match=r'sends "4" to 3.* end at 2'):
        make_decoder(3, "index", label_map={"4": 3})
    with pytest.raises(ConfigError, match='hold values like "7"'):
        make_decoder(3, "index", label_map={"1,2,3": 0})
    with pytest.raises(ConfigError, match='hold colours like "128,64,0"'):
        make_decoder(3, "color", label_map={"1": 0})
    with pytest.raises(ConfigError, match="more than a label file can hold"):
        make_decoder(3, "color", label_map={"1,2,256": 0})
    with pytest.raises(ConfigError, match=r"ignore_values \[3\] only fits label maps of ids"):
        make_decoder(3, "color", palette=COLORS, ignore_values=[3])


def test_fingerprints_differ_where_ids_may_differ():
    decoders: list[LabelDecoder] = [
        make_decoder(2, "index"),
        make_decoder(3, "index"),
        make_decoder(2, "binary"),
        make_decoder(2, "index", ignore_values=[7]),
        make_decoder(2, "index", unknown=0),
    ]
    assert len({decoder.fingerprint for decoder in decoders}) == 5
    assert make_decoder(2, "index").fingerprint == decoders[0].fingerprint


def many(folder: Path, pixels: list[np.ndarray], ending: str = "png") -> list[Path]:
    return [save(folder / f"{n:03}.{ending}", array) for n, array in enumerate(pixels)]


def grey(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


@pytest.mark.parametrize(
    ("pixels", "num_classes", "expected"),
    [
        ([grey(0, 255)], 2, "binary"),
        ([grey(0, 255)], 0, "binary"),
        ([grey(0, 255)], 11, "index"),
        ([grey(0, 1), grey(1, 255)], 2, "index"),
        ([grey(0, 0), grey(0, 1)], 2, "index"),
        ([grey(0, 0)], 2, "index"),
        ([grey(0, 0)] * 40 + [grey(0, 255)] + [grey(0, 0)] * 9, 2, "binary"),
        ([np.array([[True, False]])], 2, "binary"),
        ([np.array([[True, False]])], 5, "index"),
        ([colored(), colored()], 3, "color"),
        ([np.full((2, 2, 3), 9, np.uint8), colored()], 3, "color"),
    ],
)
def test_format_is_found_out_by_looking(tmp_path, pixels, num_classes, expected):
    assert detect_format(many(tmp_path, pixels), num_classes) == expected


def test_a_grey_jpeg_of_two_classes_is_binary(tmp_path):
    paths = many(tmp_path, [np.kron(grey(0, 255), np.ones((16, 16), np.uint8))], "jpg")
    assert detect_format(paths, 2) == "binary"
    assert make_decoder(2, "binary").decode(paths[0])[:, 20:].all()


def test_nothing_but_void_is_not_taken_for_a_binary_mask(tmp_path):
    paths = [save(tmp_path / f"{i}.png", np.full((2, 3), 255, np.uint8)) for i in range(20)]
    assert detect_format(paths) == "index"
    mixed = save(tmp_path / "z.png", np.array([[0, 255]], np.uint8))
    assert detect_format([*paths, mixed]) == "binary"


def test_files_that_are_read_by_nearest_values_are_told(tmp_path):
    """JPEG is, PNG of class ids alone is not."""
    exact = np.repeat(np.repeat(IDS, 8, axis=0), 8, axis=1).astype(np.uint8)
    Image.fromarray(exact).save(tmp_path / "exact.png")
    Image.fromarray(exact).save(tmp_path / "lossy.jpg", quality=100, subsampling=0)
    decoder = make_decoder(3, "index")
    assert decoder.is_smeared(read_labels(tmp_path / "lossy.jpg"))
    assert not decoder.is_smeared(read_labels(tmp_path / "exact.png"))
