from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from segloom.config import RunConfig
from segloom.errors import ConfigError, DataError
from segloom.models import create_model
from segloom.training.batches import check_single_sample, plan_batches


def test_a_batch_is_divided_over_processes_and_parts(tiny: Callable[..., RunConfig]) -> None:
    plan = plan_batches(
        tiny(data__batch_size=8, train__devices=2, train__accumulate=2), num_samples=40
    )
    assert (plan.batch_size, plan.num_batches, plan.num_steps) == (2, 10, 5)
    assert not plan.drop_last


@pytest.mark.parametrize(
    ("samples", "batches", "drop", "smallest"),
    [(8, 2, False, 4), (9, 2, True, 4), (10, 3, False, 2), (3, 1, False, 3), (1, 1, False, 1)],
)
def test_a_last_batch_of_one_is_left_out(
    tiny: Callable[..., RunConfig], samples: int, batches: int, drop: bool, smallest: int
) -> None:
    plan = plan_batches(tiny(data__batch_size=4), samples)
    assert (plan.num_batches, plan.drop_last, plan.smallest) == (batches, drop, smallest)


def test_processes_that_share_their_statistics_are_never_down_to_one_image(
    tiny: Callable[..., RunConfig],
) -> None:
    together = plan_batches(tiny(data__batch_size=4, train__devices=2), 6)
    assert (together.num_batches, together.drop_last, together.smallest) == (2, False, 2)
    options = {"train__devices": 2, "train__sync_batchnorm": False}
    apart = plan_batches(tiny(data__batch_size=4, **options), 6)
    assert (apart.num_batches, apart.drop_last, apart.smallest) == (1, True, 2)
    assert plan_batches(tiny(data__batch_size=2, train__devices=2), 6).smallest == 2
    assert plan_batches(tiny(data__batch_size=2, **options), 6).smallest == 1


def test_the_steps_of_an_epoch_can_be_limited(tiny: Callable[..., RunConfig]) -> None:
    plan = plan_batches(tiny(data__batch_size=4, train__accumulate=2, train__steps_per_epoch=3), 40)
    assert (plan.num_batches, plan.num_steps) == (6, 3)
    assert plan_batches(tiny(train__steps_per_epoch=99), 9).num_steps == 4


def test_a_batch_that_cannot_be_divided_is_refused(tiny: Callable[..., RunConfig]) -> None:
    config = tiny(data__batch_size=6, train__devices=2, train__accumulate=2)
    with pytest.raises(ConfigError, match=r"batch_size 6 cannot be divided .* a multiple of 4"):
        plan_batches(config, 10)


def test_fewer_images_than_processes_are_refused(tiny: Callable[..., RunConfig]) -> None:
    with pytest.raises(DataError, match=r"has 1 images for 2 process"):
        plan_batches(tiny(train__devices=2), 1)
    with pytest.raises(DataError, match=r"has 0 images for 1 process"):
        plan_batches(tiny(), 0)


def test_a_network_that_cannot_take_one_image_says_so_and_is_left_as_it_was() -> None:
    model = create_model("deeplabv3", encoder_name="resnet18", classes=2).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ConfigError, match=r"deeplabv3 cannot train on .* one image of 32 x 64"):
        check_single_sample(model, (32, 64), "deeplabv3")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training


def test_a_network_that_can_take_one_image_passes_where_it_is_large_enough() -> None:
    model = create_model("unet", encoder_name="tu-test_resnet", classes=2)
    check_single_sample(model, (64, 64), "unet")
    with pytest.raises(ConfigError, match=r"a single value per channel; set data\.batch_size"):
        check_single_sample(model, (32, 32), "unet")
