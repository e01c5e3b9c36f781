"""Predicting very many images: a pool of Ray's actors, each of which holds the network.

Images are found while others are predicted, and no list of them all is held. Results lie as the
images do: ``a/street.jpg`` gives ``OUT/a/street_label.png``; where ``street.png`` lies beside it,
``street_jpg_label.png`` and ``street_png_label.png``. Whoever is stopped goes on with the same
command: what is there and not older than its image is not made again. Images that fail stand in
``OUT/failures.csv`` with the reason, and are tried again by the next call.
"""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from segloom.config.evaluation import InferenceConfig
from segloom.errors import CheckpointError, ConfigError, SegloomError
from segloom.files import parse_json, write_json
from segloom.images.read import IMAGE_ENDINGS, VOLUME_ENDINGS, iter_images
from segloom.inference.opening import open_predictor
from segloom.prediction.files import predict_file
from segloom.prediction.ledger import Ledger
from segloom.prediction.options import PredictionOptions
from segloom.ray_cluster import connection, last_line
from segloom.run_directory import RunDirectory
from segloom.runtime.description import Description, is_export

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

__all__ = ["FAILURES", "PoolOptions", "Tally", "predict_folder"]

OWNER = ".segloom_pool.json"
"""File of the results' folder: which network and options they are of."""
FAILURES = "failures.csv"
BATCH = 32
"""Images that an actor is handed at once."""
AHEAD = 2
"""Batches that every actor has at once, so that none waits for the driver."""
ATTEMPTS = 3
"""Times that a batch is tried whose process is lost."""


@dataclass(frozen=True)
class PoolOptions:
    """How the work is divided."""

    address: str | None = None
    """Ray cluster, as of `segloom.ray_cluster.connection`; its nodes see the same folders."""
    workers: int | None = None
    """Actors, of a core each; None is one per core of the cluster."""


@dataclass
class Tally:
    """How far it is."""

    predicted: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Images predicted in a second."""
        return self.predicted / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Batch:
    """What came of some images."""

    predicted: int = 0
    skipped: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Image and reason."""


def predict_folder(
    model: Path,
    folder: Path,
    out: Path,
    options: PredictionOptions,
    inference: InferenceConfig,
    pool: PoolOptions,
    *,
    on_progress: Callable[[Tally], None] | None = None,
) -> Tally:
    """Predict every image below a folder.

    Args:
        model: A run, a model directory or an export, at the same path on every node.
        folder: Of the images.
        out: Of the results: new or empty, or that of an earlier call with the same network and
            options.
        options: What is written.
        inference: How an image is seen.
        pool: How the work is divided.
        on_progress: Told how far it is, after every batch.

    Raises:
        ConfigError: ``out`` is of something else, Ray is missing, or the cluster does not answer.
        CheckpointError: There is no network at ``model``.
        DataError: The folder cannot be read.
        SegloomError: Results cannot be written.
        TrainingError: The cluster was lost; the same command goes on.
    """
    start = time.monotonic()
    own(out, owner_of(model, options, inference), overwrite=options.overwrite)
    tally = Tally()
    batches = divide(iter_images(folder, leave_out=out), folder, BATCH)
    options = replace(options, skip_existing=not options.overwrite)
    facts = (model.resolve(), folder.resolve(), out.resolve(), options, inference)
    with connection(pool.address) as ray, (out / FAILURES).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "reason"])
        for done in _work(ray, facts, batches, pool):
            tally.predicted += done.predicted
            tally.skipped += done.skipped
            tally.failed += len(done.failures)
            tally.seconds = time.monotonic() - start
            rows.writerows(done.failures)
            file.flush()
            if on_progress is not None:
                on_progress(tally)
    if not tally.failed:
        (out / FAILURES).unlink()
    return tally


def _work(
    ray: ModuleType, facts: tuple[object, ...], batches: Iterator[list[str]], pool: PoolOptions
) -> Iterator[Batch]:
    """Keep every actor busy, and yield batches as they are finished."""
    number = pool.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    actor = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=ATTEMPTS - 1)(Worker)
    actors = [actor.remote(*facts) for _ in range(number)]
    running: dict[ObjectRef, tuple[ActorHandle, list[str]]] = {}

    def hand_out(free: Sequence[ActorHandle]) -> None:
        for one, names in zip(free, batches, strict=False):
            running[one.predict.remote(names)] = (one, names)

    hand_out(actors * AHEAD)
    while running:
        (task,), _ = ray.wait(list(running), num_returns=1)
        one, names = running.pop(task)
        try:
            found: Batch = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, SegloomError) else error) from None
        except ray.exceptions.RayError as error:
            reason = f"its process was lost {ATTEMPTS} times ({last_line(error)})"
            found = Batch(failures=[(name, reason) for name in names])
        yield found
        hand_out([one])


class Worker:
    """A process of the pool, which holds the network.

    Args:
        model: The network.
        folder: Of the images.
        out: Of the results.
        options: What is written.
        inference: How an image is seen.
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        out: Path,
        options: PredictionOptions,
        inference: InferenceConfig,
    ) -> None:
        self.folder, self.out, self.options = folder, out, options
        self.predictor = open_predictor(model, inference, threads=1)

    def predict(self, names: Sequence[str]) -> Batch:
        """Predict images, named from the folder on.

        Raises:
            ConfigError: The network takes edge maps.
            SegloomError: Results cannot be written.
        """
        if self.predictor.takes_edges:
            raise ConfigError(
                "this network takes an edge map with every image, which --engine ray does not "
                "bring; leave it out and name the maps with --edges."
            )
        predicted, skipped = 0, 0
        failures: list[tuple[str, str]] = []
        for name in names:
            file = self.folder / name
            beginning = (self.out / name).with_name(result_name(file))
            ledger = _NoLedger(beginning.parent)
            done = predict_file(self.predictor, file, beginning, self.options, ledger)
            failures += [(name, done.error)] if done.error else []
            skipped += done.skipped
            predicted += not (done.skipped or done.error)
        return Batch(predicted, skipped, failures)


class _NoLedger(Ledger):
    """The whole folder belongs to the pool, so that no list of its files is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def writing(self, targets: Sequence[Path]) -> Iterator[None]:
        """Make their folder."""
        for folder in {target.parent for target in targets}:
            folder.mkdir(parents=True, exist_ok=True)
        yield


def result_name(file: Path) -> str:
    """Name the results of an image: its stem, with the ending where a sibling has the same stem."""
    ending = next((e for e in VOLUME_ENDINGS if file.name.lower().endswith(e)), file.suffix)
    stem = file.name[: len(file.name) - len(ending)]
    others = (stem + other for known in IMAGE_ENDINGS for other in (known, known.upper()))
    has_twin = any(name != file.name and file.with_name(name).exists() for name in others)
    return f"{stem}_{ending.removeprefix('.')}" if has_twin else stem


def divide(files: Iterator[Path], folder: Path, size: int) -> Iterator[list[str]]:
    """Return the names of files from a folder on, so many at a time."""
    while batch := [file.relative_to(folder).as_posix() for file in islice(files, size)]:
        yield batch


def owner_of(
    model: Path, options: PredictionOptions, inference: InferenceConfig
) -> dict[str, object]:
    """Describe what the results are of: the network's file and the options.

    Raises:
        CheckpointError: There is no network.
    """
    if is_export(model):
        file = model / Description.read(model).file
    else:
        file = RunDirectory.model_directory(model) / "model.safetensors"
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror or error}.") from error
    return {
        "network": digest,
        "outputs": sorted(options.outputs),
        "alpha": options.alpha,
        "outline": options.outline,
        "hu_window": list(options.hu_window),
        "inference": inference.model_dump(mode="json"),
    }


def own(out: Path, owner: dict[str, object], *, overwrite: bool) -> None:
    """Take a folder for results, or refuse to.

    Args:
        out: The folder; made where it is missing.
        owner: From `owner_of`.
        overwrite: Take it from another network or other options; never from files of others.

    Raises:
        ConfigError: It holds something else.
        SegloomError: It cannot be made.
    """
    path = out / OWNER
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            try:
                is_same = parse_json(path.read_text(encoding="utf-8")) == owner
            except ValueError:
                is_same = False
            if not is_same and not overwrite:
                raise ConfigError(
                    f"{out} holds results of another network or of other options; choose another "
                    "folder with --out, or make them all anew with --overwrite."
                )
        elif next(out.iterdir(), None) is not None:
            raise ConfigError(
                f"{out} holds files that --engine ray did not write; choose another folder with "
                "--out."
            )
        write_json(path, owner)
    except OSError as error:
        raise SegloomError(f"cannot write to {out}: {error.strerror or error}.") from error
