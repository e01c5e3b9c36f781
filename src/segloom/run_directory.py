"""Where the files of one run lie; every command that takes a RUN finds them through this.

.lock                          held by the training that writes here
config.yaml  environment.json  command.txt  log.txt
metrics.csv  metrics.jsonl     one row per epoch
curves.png                     the same as a picture
find_lr.csv  find_lr.png       a learning-rate range test, if there was one
checkpoints/best  checkpoints/last     each a model directory, as `save_pretrained` writes it
checkpoints/trainer.ckpt       optimiser, schedule and position, for resuming
eval/<split>/                  metrics.json counts.jsonl per_image.csv confusion.csv report.html
                               montage/
gates/                         what the gate of each export found
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segloom.errors import CheckpointError

__all__ = ["RunDirectory"]


@dataclass(frozen=True)
class RunDirectory:
    """Paths of a run; nothing is created by asking for one."""

    path: Path

    @property
    def config(self) -> Path:
        """The whole resolved configuration."""
        return self.path / "config.yaml"

    @property
    def lock(self) -> Path:
        """Held by the one process that trains here."""
        return self.path / ".lock"

    @property
    def history(self) -> Path:
        """One CSV row per epoch: epoch, step, lr, seconds, train/*, val/*."""
        return self.path / "metrics.csv"

    @property
    def trainer_state(self) -> Path:
        """What resuming needs besides the weights."""
        return self.path / "checkpoints" / "trainer.ckpt"

    def checkpoint(self, which: str = "best") -> Path:
        """Find a model directory: ``best`` (by validation mIoU) or ``last``.

        Raises:
            CheckpointError: The run has no such checkpoint.
        """
        path = self.path / "checkpoints" / which
        if not (path / "config.json").is_file():
            raise CheckpointError(
                f"{self.path} has no checkpoint '{which}'; train it first with "
                f"`segloom train ... --train.out {self.path}`."
            )
        return path

    @property
    def curves(self) -> Path:
        """Picture of the training."""
        return self.path / "curves.png"

    @property
    def gates(self) -> Path:
        """Folder of what `segloom export` noted, a file per format and precision."""
        return self.path / "gates"

    @property
    def evaluated_splits(self) -> list[str]:
        """Splits with a complete evaluation."""
        return sorted(path.parent.name for path in self.path.glob("eval/*/metrics.json"))

    def evaluation(self, split: str) -> Path:
        """Folder of the evaluation on ``split``."""
        return self.path / "eval" / split

    @classmethod
    def model_directory(cls, path: Path) -> Path:
        """Resolve what a user names as a model: a run, or a model directory itself.

        Raises:
            CheckpointError: It is neither.
        """
        if (path / "config.json").is_file():
            return path
        if (path / "checkpoints").is_dir():
            return cls(path).checkpoint()
        raise CheckpointError(
            f"{path} is neither a run nor a model directory; give the folder that `segloom train` "
            "wrote, or one with config.json and model.safetensors."
        )
