"""A decoder is told before every step which share of the training is done."""

from __future__ import annotations

from types import SimpleNamespace

from segloom.training.callbacks.annealing import Annealing


def test_the_share_follows_from_the_step_and_ends_at_one():
    told = []
    model = SimpleNamespace(decoder=SimpleNamespace(anneal=told.append))
    hook = Annealing(model, 4)
    for step in (0, 1, 3, 4, 5, 2):
        hook.on_train_batch_start(SimpleNamespace(global_step=step), None, None, 0)
    assert told == [0.0, 0.25, 0.75, 1.0, 1.0, 0.5]
