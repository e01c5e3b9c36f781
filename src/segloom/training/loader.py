"""Loaders as Lightning sees them: of fixed length, and resumable inside an epoch."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import DataLoader

__all__ = ["Batches", "TrainingBatches"]


class Batches:
    """The batches of a loader, and nothing else that Lightning might look at or warn about.

    Args:
        loader: What to iterate over.
        num_batches: Batches of a whole epoch.
    """

    def __init__(self, loader: DataLoader[object], num_batches: int) -> None:
        self.loader, self.num_batches = loader, num_batches

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[object]:
        # A generator, so that nothing is drawn before Lightning has set the epoch.
        yield from self.loader


class TrainingBatches(Batches):
    """Batches in the order of an epoch, which Lightning sets on ``sampler``.

    The sampler knows where to start; the empty state says to Lightning that nothing is lost when
    a run resumes in the middle of an epoch.
    """

    def __init__(self, loader: DataLoader[object], num_batches: int) -> None:
        super().__init__(loader, num_batches)
        self.sampler = loader.sampler

    def state_dict(self) -> dict[str, object]:
        """Return nothing: the sampler is told where to start when the loader is built."""
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Do nothing; see `state_dict`."""
