"""Arrays and torch data sets are samples like those of files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import segloom
from segloom.config import DataConfig
from segloom.data import build_dataset, read_source
from segloom.data.readers import has_split
from segloom.errors import ConfigError, DataError, NoSplitError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3), dtype=np.uint8)
MASKS = np.random.default_rng(1).integers(0, 2, (5, 8, 12))


class Pairs(Dataset[Any]):
    """Images as floats with their channels first, as most torch data sets have them."""

    def __init__(self, *, as_mapping: bool = False) -> None:
        self.as_mapping = as_mapping

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        image = torch.from_numpy(IMAGES[index]).permute(2, 0, 1) / 255
        mask = torch.from_numpy(MASKS[index])
        return {"image": image, "mask": mask} if self.as_mapping else (image, mask[None])


def held(**options: Any) -> DataConfig:
    splits = {"train": (IMAGES, MASKS), "val": (IMAGES[:2], MASKS[:2])}
    values = segloom.in_memory(**{**splits, "classes": ("ground", "square"), **options})
    return DataConfig.model_validate(values)


@pytest.mark.parametrize(
    "train",
    [
        (IMAGES, MASKS),
        (list(IMAGES), list(MASKS)),
        [*zip(IMAGES, MASKS, strict=True)],
        Pairs(),
        Pairs(as_mapping=True),
    ],
)
def test_samples_are_those_that_were_given(train: Any) -> None:
    dataset = build_dataset(held(train=train), "train")
    assert dataset.classes == ("ground", "square")
    assert len(dataset) == 5
    for index, sample in enumerate(dataset[i] for i in range(5)):
        np.testing.assert_array_equal(sample["image"].permute(1, 2, 0), IMAGES[index])
        np.testing.assert_array_equal(sample["mask"], MASKS[index])


def test_only_the_splits_that_were_given_are_there() -> None:
    config = held()
    assert has_split(config, "val")
    assert not has_split(config, "test")
    with pytest.raises(NoSplitError, match="have no split test"):
        read_source(config, "test")


def test_other_images_of_the_name_are_not_taken_for_them() -> None:
    before = held()
    held(train=(IMAGES[::-1], MASKS))
    with pytest.raises(DataError, match=r"give them again with segloom\.in_memory"):
        read_source(before, "train")
    assert held() == before, "the same images may be given again, after a restart too"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"train": (IMAGES, MASKS[:3])}, "equal length; this one has 5 and 3"),
        ({"train": []}, "train is empty"),
        ({"val": iter([])}, "val is a list_iterator"),
        ({"classes": ("a", "a")}, "holds a name twice"),
        ({"palette": ((0, 0, 0),)}, "one colour per class"),
    ],
)
def test_what_cannot_be_held_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((DataError, ConfigError), match=sentence):
        held(**options)


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        ((IMAGES[0], MASKS[0] + 1), "label map 0 of train holds 2, but 2 classes are named"),
        ((IMAGES[0], MASKS[0] / 1), "give class ids as whole numbers"),
        ((IMAGES[0], MASKS[0][:4]), "label map 0 of train is 12 x 4 pixels"),
        (IMAGES[0], "sample 0 of train is a ndarray"),
    ],
)
def test_a_sample_that_is_none_is_named(sample: Any, sentence: str) -> None:
    dataset = build_dataset(held(train=[sample]), "train")
    with pytest.raises(DataError, match=sentence):
        dataset[0]
