"""Batches come in an order that can be resumed and divided exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segloom.config.data import DataConfig
from segloom.data import build_dataset, build_loader
from segloom.data.loader import EpochSampler, collate
from segloom.data.transforms import FILL
from segloom.errors import ConfigError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    random = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / "train" / kind).mkdir(parents=True)
    for number in range(11):
        pixels = random.integers(0, 2, (12 + number, 20), np.uint8)
        Image.fromarray(pixels).save(root / "train" / "masks" / f"{number:02}.png")
        Image.fromarray(pixels * 200).save(root / "train" / "images" / f"{number:02}.png")
    config = DataConfig(
        root=root, classes=("a", "b"), crop=(8, 8), cache_dir=root / "cache", batch_size=4
    )
    return build_dataset(config, "train", augment=True, seed=5)


def names(loader):
    return [[meta["id"] for meta in batch["meta"]] for batch in loader]


def batches(loader):
    return [(batch["image"], batch["mask"]) for batch in loader]


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip(x, y, strict=True)
    )


def test_batches_are_stacked_uint8_in_channels_last_memory(dataset):
    loader = build_loader(dataset, batch_size=4, shuffle=True)
    batch = next(iter(loader))
    assert batch["image"].shape == (4, 3, 8, 8)
    assert batch["mask"].shape == (4, 8, 8)
    assert batch["image"].dtype == batch["mask"].dtype == torch.uint8
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert len(loader) == 3
    assert [len(group) for group in names(loader)] == [4, 4, 3]


def test_a_last_batch_that_is_not_full_can_be_left_out(dataset):
    loader = build_loader(dataset, batch_size=4, shuffle=True, drop_last=True)
    assert [len(group) for group in names(loader)] == [4, 4]
    with pytest.raises(ConfigError, match=r"do not fill one batch of 12.*at most 11"):
        build_loader(dataset, batch_size=12, shuffle=True, drop_last=True)
    with pytest.raises(ConfigError, match=r"2 process\(es\).*at most 12"):
        build_loader(dataset, batch_size=7, shuffle=True, drop_last=True, world_size=2)


def test_a_batch_size_below_one_is_refused(dataset):
    with pytest.raises(ConfigError, match="at least one sample, not 0"):
        build_loader(dataset, batch_size=0, shuffle=False)


def test_order_and_views_change_with_the_epoch_and_repeat_with_the_seed(dataset):
    loader = build_loader(dataset, batch_size=4, shuffle=True, seed=1)
    first = batches(loader)
    loader.sampler.set_epoch(1)
    second = batches(loader)
    loader.sampler.set_epoch(0)
    assert same(batches(loader), first)
    assert not same(first, second)
    assert not same(batches(build_loader(dataset, batch_size=4, shuffle=True, seed=2)), first)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # Python 3.12, 3.13
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
def test_worker_processes_change_nothing(dataset):
    first = batches(build_loader(dataset, batch_size=4, shuffle=True, seed=1))
    loader = build_loader(dataset, batch_size=4, shuffle=True, seed=1, workers=2)
    assert same(batches(loader), first)
    loader.sampler.set_epoch(1)  # also while the workers live on
    again = build_loader(dataset, batch_size=4, shuffle=True, seed=1)
    again.sampler.set_epoch(1)
    assert same(batches(loader), batches(again))


def test_a_resumed_epoch_goes_on_where_it_broke_off(dataset):
    whole = build_loader(dataset, batch_size=4, shuffle=True, seed=1)
    whole.sampler.set_epoch(3)
    expected = batches(whole)
    resumed = build_loader(dataset, batch_size=4, shuffle=True, seed=1, start=(3, 1))
    assert len(resumed) == 2
    assert same(batches(resumed), expected[1:])
    whole.sampler.set_epoch(4)
    resumed.sampler.set_epoch(4)
    assert len(resumed) == 3
    assert same(batches(resumed), batches(whole))


def test_the_global_random_state_is_left_alone(dataset):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    names(build_loader(dataset, batch_size=4, shuffle=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_keeps_the_order_and_repeats_nothing_over_processes(dataset):
    every = [f"{n:02}" for n in range(11)]
    assert names(build_loader(dataset, batch_size=11, shuffle=False)) == [every]
    shares = [
        [
            name
            for group in names(
                build_loader(dataset, batch_size=4, shuffle=False, rank=rank, world_size=3)
            )
            for name in group
        ]
        for rank in range(3)
    ]
    assert sorted(name for share in shares for name in share) == every
    assert [len(share) for share in shares] == [4, 4, 3]


@settings(deadline=None)
@given(
    num=st.integers(1, 40),
    world=st.integers(1, 5),
    batch=st.integers(1, 5),
    epoch=st.integers(0, 9),
)
def test_processes_together_see_the_batches_of_one(num, world, batch, epoch):
    def order(**options):
        sampler = EpochSampler(num, shuffle=True, seed=9, **options)
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert len(keys) == len(sampler)
        assert {key[0] for key in keys} == {epoch}
        return [key.sample for key in keys]

    single = order()
    assert sorted(single) == list(range(num))
    shares = [order(rank=rank, world_size=world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    for start in range(0, num // world * world - world * batch + 1, world * batch):
        together = [
            index for share in shares for index in share[start // world : start // world + batch]
        ]
        assert sorted(together) == sorted(single[start : start + world * batch])
    assert set().union(*shares) == set(range(num))


def test_ranks_outside_their_world_are_refused():
    with pytest.raises(ConfigError, match="process 2 of 2"):
        EpochSampler(4, shuffle=True, rank=2, world_size=2)


def test_different_sizes_are_padded_with_void_on_the_right_and_below():
    def sample(height, width, **more):
        return {
            "image": torch.full((3, height, width), 9, dtype=torch.uint8),
            "mask": torch.ones((height, width), dtype=torch.uint8),
            "meta": {"id": f"{height}"},
            **more,
        }

    batch = collate([sample(2, 5), sample(4, 3)])
    assert batch["image"].shape == (2, 3, 4, 5)
    assert batch["meta"] == [{"id": "2"}, {"id": "4"}]
    assert "edge" not in batch
    for number, (height, width) in enumerate([(2, 5), (4, 3)]):
        real = torch.zeros(4, 5, dtype=torch.bool)
        real[:height, :width] = True
        assert (batch["mask"][number][real] == 1).all()
        assert (batch["mask"][number][~real] == 255).all()
        pixels = batch["image"][number].permute(1, 2, 0)
        assert (pixels[real] == 9).all()
        assert (pixels[~real] == torch.tensor(FILL, dtype=torch.uint8)).all()
    edged = collate([sample(2, 5, edge=torch.ones(2, 5, dtype=torch.uint8))] * 2)
    assert edged["edge"].sum() == 20
