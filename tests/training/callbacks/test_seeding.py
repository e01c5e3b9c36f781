"""Torch's random numbers follow from seed, epoch, batch and process, and from nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from segloom.training.callbacks.seeding import StepSeed


def draw(seed=0, epoch=1, batch=2, process=0):
    torch.rand(3)  # whatever was drawn before
    trainer = SimpleNamespace(current_epoch=epoch, global_rank=process)
    StepSeed(seed).on_train_batch_start(trainer, None, None, batch)
    return tuple(torch.rand(4).tolist())


def test_the_same_place_draws_the_same_numbers():
    assert draw() == draw()


def test_every_part_of_the_place_counts():
    places = [{}, {"seed": 1}, {"epoch": 2}, {"batch": 1}, {"process": 1}, {"epoch": 2, "batch": 1}]
    assert len({draw(**place) for place in places}) == len(places)
