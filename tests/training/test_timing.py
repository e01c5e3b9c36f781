"""Timing of single steps: what counts as a step, whose share is computed, that nothing stays."""

from __future__ import annotations

import pytest
import torch

from segloom.training.timing import time_training


def test_steps_are_timed_beyond_an_epoch_and_validation_images_one_by_one(tiny, tmp_path):
    config = tiny(data__batch_size=2)
    before = torch.get_num_threads(), sorted(tmp_path.iterdir())
    found = time_training(config, 3)
    assert len(found.steps) == 3
    assert len(found.validations) == min(2, len(found.parts.validation))
    assert min(*found.steps, *found.validations) > 0
    assert (torch.get_num_threads(), sorted(tmp_path.iterdir())) == before


@pytest.mark.parametrize("accumulate", [1, 2])
def test_accumulated_parts_are_one_step(tiny, monkeypatch, accumulate):
    config = tiny(data__batch_size=2 * accumulate, train__accumulate=accumulate)
    seen = []
    real = torch.optim.AdamW.step

    def count(self, closure=None):
        seen.append(1)
        return real(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", count)
    assert len(time_training(config, 2).steps) == 2
    assert len(seen) == 3  # one more warms up


def test_of_several_processes_the_share_of_one_is_computed(tiny):
    parts = time_training(tiny(data__batch_size=4, train__devices=2), 1).parts
    assert (parts.plan.batch_size, parts.config.train.devices) == (2, 1)
