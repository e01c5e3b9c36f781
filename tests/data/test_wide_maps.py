"""Label maps of many overlapping classes: each class is cut, cached and stacked like one alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segloom.config.data import AugmentConfig
from segloom.data.cache import SampleCache
from segloom.data.loader import collate
from segloom.data.planes import Planes
from segloom.data.transforms import JointTransform, draw, sample_generator
from segloom.labels.bits import class_map, pack
from segloom.types import Record

NUMBERS = (7, 12, 32)


def wide(num_classes: int, height: int = 37, width: int = 41) -> Planes:
    """Draw classes that overlap and some void."""
    rng = np.random.default_rng(num_classes)
    coarse = rng.random((num_classes, -(-height // 4), -(-width // 4))) < 0.4
    present = np.kron(coarse, np.ones((1, 4, 4), bool))[:, :height, :width]
    mask = pack(present)
    mask[5:9, :20] = 255
    return Planes(rng.integers(0, 255, (height, width, 3), np.uint8), mask)


@pytest.mark.parametrize("num_classes", NUMBERS)
@pytest.mark.parametrize("rotate", [0, 30])
def test_every_class_moves_as_it_would_alone(num_classes, rotate):
    planes = wide(num_classes)
    config = AugmentConfig(scale=(0.4, 2.5), flip=0.5, rotate=rotate, jitter=0, blur=0)
    transform = JointTransform(config, (48, 32))
    for seed in range(6):
        draws = draw(config, sample_generator(seed, 0, 0, 0))
        mask = transform.apply(planes, draws).mask
        assert mask.dtype == planes.mask.dtype
        assert mask.flags.c_contiguous
        assert mask.flags.writeable
        for k in range(num_classes):
            alone = planes._replace(mask=class_map(planes.mask, k, num_classes))
            moved = transform.apply(alone, draws).mask
            differs = (class_map(mask, k, num_classes) != moved).mean()
            # OpenCV rounds halves of a rotation differently for bytes and for integers.
            assert differs <= (0.002 if rotate and num_classes > 7 else 0)


@pytest.mark.parametrize("num_classes", NUMBERS)
@pytest.mark.parametrize("has_edge", [False, True])
def test_the_cache_returns_what_it_was_given(num_classes, has_edge, tmp_path):
    planes = wide(num_classes)
    if has_edge:
        planes = planes._replace(edge=planes.image[..., 0].copy())
    image = tmp_path / "a.png"
    image.write_bytes(b"image")
    record = Record("a", image)
    SampleCache(tmp_path / "cache", "x").fetch(record, lambda: planes)
    again = SampleCache(tmp_path / "cache", "x").fetch(record, lambda: pytest.fail("not cached"))
    assert again.mask.dtype == planes.mask.dtype
    for first, second in zip(again, planes, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("num_classes", NUMBERS)
def test_a_batch_is_padded_with_void(num_classes):
    samples = []
    for size in ((37, 41), (30, 44)):
        planes = wide(num_classes, *size)
        image = torch.from_numpy(planes.image).permute(2, 0, 1)
        samples.append({"image": image, "mask": torch.from_numpy(planes.mask), "meta": {}})
    mask = collate(samples)["mask"]
    assert mask.shape == (2, 37, 44)
    assert mask.dtype == samples[0]["mask"].dtype
    assert torch.equal(mask[1, :30], samples[1]["mask"])
    assert (mask[1, 30:] == 255).all()
    assert (mask[0, :, 41:] == 255).all()
