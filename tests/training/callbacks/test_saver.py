"""What a saver keeps after every epoch, when it stops early, and where a signal stops it."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace

import pytest

from segloom.run_directory import RunDirectory
from segloom.training.callbacks.saver import Saver, StopRequested


class Case:
    """A saver whose files are noted, not written."""

    def __init__(self, tmp_path, *, patience=None, epochs=10, average=None):
        self.recorder, self.stop = SimpleNamespace(rows=[]), Event()
        self.saved, self.states = [], []
        self.run = RunDirectory(tmp_path)
        self.saver = Saver(
            self.run,
            None,
            lambda path, facts: self.saved.append((path, facts)),
            self.recorder,
            average=average,
            patience=patience,
            epochs=epochs,
            stop=self.stop,
        )

    def trainer(self, number, *, is_first=True, accumulate=1, batches=8):
        return SimpleNamespace(
            current_epoch=number,
            is_global_zero=is_first,
            should_stop=False,
            accumulate_grad_batches=accumulate,
            num_training_batches=batches,
            save_checkpoint=lambda path: self.states.append((path, self.saver.state_dict())),
        )

    def epoch(self, number, score, **facts):
        """End an epoch; give the names of the models that were saved."""
        self.recorder.rows.append({"val/mIoU": score})
        self.saved.clear()
        trainer = self.trainer(number, **facts)
        self.saver.on_train_epoch_end(trainer, None)
        self.should_stop = trainer.should_stop
        return [path.name for path, _ in self.saved]

    def batch(self, index, number=0, **facts):
        trainer = self.trainer(number, **facts)
        self.saver.on_train_batch_end(trainer, None, None, None, index)


def test_the_best_is_replaced_by_a_better_score_alone(tmp_path):
    case = Case(tmp_path)
    scores = [0.5, 0.5, 0.4, 0.6]
    saved = [case.epoch(number, score) for number, score in enumerate(scores)]
    assert saved == [["last", "best"], ["last"], ["last"], ["last", "best"]]
    assert case.saved == [
        (tmp_path / "checkpoints" / name, {"val mIoU": 0.6, "epoch": 4})
        for name in ("last", "best")
    ]
    assert (case.saver.best, case.saver.best_epoch) == (0.6, 4)


def test_without_a_score_the_last_stands_in_for_the_best_until_there_is_one(tmp_path):
    case = Case(tmp_path)
    saved = [case.epoch(number, score) for number, score in enumerate([None, None, 0.0, None])]
    assert saved == [["last", "best"], ["last", "best"], ["last", "best"], ["last"]]
    assert (case.saver.best, case.saver.best_epoch) == (0.0, 3)


@pytest.mark.parametrize(
    ("patience", "scores", "stops"),
    [
        (2, [0.5, 0.4, 0.5], [False, False, True]),
        (2, [0.5, 0.4, 0.6, 0.6], [False, False, False, False]),
        (1, [0.5, 0.5], [False, True]),
        (2, [None, None], [False, True]),
        (None, [0.5, 0.4, 0.3, 0.2], [False, False, False, False]),
    ],
)
def test_so_many_epochs_without_a_better_score_end_the_run(tmp_path, patience, scores, stops):
    case = Case(tmp_path, patience=patience)
    found = []
    for number, score in enumerate(scores):
        case.epoch(number, score)
        found.append(case.should_stop)
        assert case.saver.is_finished == case.should_stop
    assert found == stops


def test_the_last_epoch_finishes_the_run_without_stopping_it_early(tmp_path):
    case = Case(tmp_path, epochs=2)
    case.epoch(0, 0.5)
    assert not case.saver.is_finished
    case.epoch(1, 0.5)
    assert case.saver.is_finished
    assert not case.should_stop


def test_the_state_is_written_last_and_says_where_the_training_stands(tmp_path):
    case = Case(tmp_path, epochs=3)
    case.epoch(0, 0.25)
    assert case.states == [
        (
            case.run.trainer_state,
            {
                "best": 0.25,
                "best_epoch": 1,
                "position": [1, 0],
                "is_finished": False,
                "epochs": 3,
            },
        )
    ]
    other = Case(tmp_path)
    other.saver.load_state_dict(case.states[0][1])
    assert other.epoch(1, 0.25) == ["last"]
    assert other.epoch(2, 0.26) == ["last", "best"]


def test_other_processes_take_part_in_the_state_but_save_no_model(tmp_path):
    case = Case(tmp_path)
    assert case.epoch(0, 0.5, is_first=False) == []
    assert len(case.states) == 1
    assert case.saver.best == 0.5


def test_the_average_is_in_place_while_models_are_saved_and_not_in_the_state(tmp_path):
    told = []

    @contextmanager
    def in_place():
        told.append("in")
        yield
        told.append((len(case.saved), len(case.states)))

    case = Case(tmp_path, average=SimpleNamespace(in_place=in_place))
    case.epoch(0, 0.5)
    assert told == ["in", (2, 0)]
    assert len(case.states) == 1


def test_a_batch_is_nothing_to_stop_at_unless_asked(tmp_path):
    case = Case(tmp_path)
    case.batch(0)
    assert case.states == []


@pytest.mark.parametrize(
    ("index", "accumulate", "stops"),
    [(0, 1, True), (2, 1, True), (7, 1, False), (0, 2, False), (1, 2, True), (2, 2, False)],
)
def test_a_request_stops_after_a_whole_step_inside_the_epoch(tmp_path, index, accumulate, stops):
    case = Case(tmp_path)
    case.stop.set()
    if not stops:
        case.batch(index, accumulate=accumulate)
        assert case.states == []
        return
    with pytest.raises(StopRequested):
        case.batch(index, number=3, accumulate=accumulate)
    ((path, state),) = case.states
    assert path == case.run.trainer_state
    assert state["position"] == [3, index + 1]
    assert case.saved == []


def test_a_request_stops_after_an_epoch_that_is_saved_unless_it_is_the_last(tmp_path):
    case = Case(tmp_path, epochs=2)
    case.stop.set()
    with pytest.raises(StopRequested):
        case.epoch(0, 0.5)
    assert len(case.saved) == 2
    assert len(case.states) == 1
    assert case.epoch(1, 0.6) == ["last", "best"]
