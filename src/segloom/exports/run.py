"""Export a trained network: write the file, prove it, and only then put it in its place.

DIR/model.onnx    the network, with normalisation, padding, cropping and argmax inside
DIR/model.json    what goes in, what comes out, and where it came from
DIR/gate.json     what the file was compared with, and how it compared
DIR/README.md     the same for people
DIR/preview.png   an image, its label map and both together, by the exported file

With ``triton`` or ``web``, a model repository or a page lies beside these; see `triton` and `web`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from segloom.config.data import DataConfig
from segloom.config.load import read_config
from segloom.errors import ConfigError, SegloomError
from segloom.exports.card import write_card
from segloom.exports.effects import disturbed, silent_enhancements
from segloom.exports.form import weights_digest
from segloom.exports.gate import (
    Findings,
    GateLimits,
    ScoreCheck,
    SizeCheck,
    compare_scores,
    compare_sizes,
)
from segloom.exports.int8 import CALIBRATION_IMAGES, Floating, quantize
from segloom.exports.making import FILES, check_format, set_aside, write_exact
from segloom.exports.matrix import check_encoder
from segloom.exports.note import note_export
from segloom.exports.pictures import Images, choose_images, halves, patches, spread_evenly
from segloom.exports.triton import write_repository
from segloom.exports.web import find_runtime, write_web_page
from segloom.files import write_json
from segloom.inference.graph import InferenceGraph
from segloom.labels.palette import default_palette
from segloom.models.model import SegmentationModel
from segloom.models.weights.checkpoint import from_pretrained, read_saved
from segloom.run_directory import RunDirectory
from segloom.runtime.description import (
    DESCRIPTION,
    Description,
    ExportFormat,
    ExportKind,
    Precision,
    is_export,
)
from segloom.runtime.opening import open_session
from segloom.runtime.session import Session
from segloom.types import LabelSet

__all__ = ["Export", "export"]

MAX_IMAGES = 100
Progress = Callable[[str, int, int], None]
"""Told what is done, how much of it is finished, and how much there is."""


@dataclass(frozen=True)
class Export:
    """The result of `export`."""

    folder: Path
    description: Description
    findings: Findings


def export(
    run: Path | str,
    out: Path | str,
    *,
    format: ExportKind = "onnx",  # noqa: A002  # as on the command line
    precision: Precision = "fp32",
    probabilities: bool = False,
    split: str = "val",
    images: Path | str | None = None,
    data: DataConfig | None = None,
    max_images: int = MAX_IMAGES,
    ort_web: Path | str | None = None,
    tolerance: float = 0.5,
    class_tolerance: float = 5.0,
    minutes: float = 10.0,
    on_progress: Progress | None = None,
) -> Export:
    """Export a trained network, if its file answers as the network does.

    Args:
        run: A run (its best checkpoint is taken) or a model directory.
        out: Folder of the export; an earlier export there is replaced.
        format: ``onnx`` or ``openvino``; ``triton`` is ONNX with a model repository for Triton
            beside it, ``web`` with a page that runs the network in a browser.
        precision: ``fp32``; ``int8``, whose ranges of values come from training images; ``bf16``
            for OpenVINO.
        probabilities: Give the file a third output, the probabilities.
        split: Of the data of the run, whose images network and file are compared on.
        images: A folder of images to compare them on instead, without ground truth.
        data: The data, if it is not where the run was trained.
        max_images: How many images of the split are seen at most; 0 sees all.
        ort_web: For ``web``, a folder with the npm package onnxruntime-web; None lets npm fetch it.
        tolerance: Below fp32, the largest loss of mIoU, in points (per cent).
        class_tolerance: Below fp32, the largest loss of a class's IoU, in points.
        minutes: Where plain int8 loses more, about how long the choice of the layers that stay in
            floating point may take.
        on_progress: Told how far it is.

    Returns:
        Where it is and what the comparison found.

    Raises:
        ExportRefusedError: The file does not answer as the network does; nothing is written.
        CheckpointError: There is no network at ``run``, or it cannot be loaded.
        ConfigError: A package is missing, ``out`` holds something else, there are no images, or
            the format or the processor does not have the precision.
        DataError: The images cannot be read.
    """
    run, out = Path(run), Path(out)
    file_format: ExportFormat = "openvino" if format == "openvino" else "onnx"
    check_format(file_format, precision)
    _check_place(out)
    browser = find_runtime(None if ort_web is None else Path(ort_web)) if format == "web" else None
    model = from_pretrained(run)
    check_encoder(model.spec["encoder_name"])
    labels = _labels_of(run, model)
    path = RunDirectory(run).config
    data = data or (read_config(path).data if path.is_file() else None)
    seen, calibration = _find_images(
        data, split, Path(images) if images is not None else None, labels, model, precision
    )
    description = replace(
        describe(model, labels, data or DataConfig()),
        format=file_format,
        precision=precision,
        file=FILES[file_format],
        has_probabilities=probabilities,
    )
    limits = GateLimits.of_precision(precision, tolerance / 100, class_tolerance / 100)
    gate = Gate(model, description, seen, calibration, limits, max_images, minutes, on_progress)
    with _workshop(out) as folder:
        findings = gate.make(folder)
        if weights_digest(model) != description.weights_sha256:
            raise AssertionError("exporting must leave the network as it is")
        write_json(folder / "gate.json", findings.to_json())
        write_card(folder, description, findings, seen)
        if browser is not None:
            write_web_page(folder, description, browser)
        elif format == "triton":
            write_repository(folder, description, out.resolve().name)
        write_json(folder / DESCRIPTION, description.to_json())
        _put(folder, out)
    note_export(run, out, format, description, findings)
    return Export(out, description, findings)


@dataclass(frozen=True)
class Gate:
    """Writes the file and compares it with the network."""

    model: SegmentationModel
    description: Description
    images: Images
    calibration: Images
    limits: GateLimits
    max_images: int
    minutes: float
    on_progress: Progress | None

    @cached_property
    def _graph(self) -> InferenceGraph:
        return InferenceGraph(self.model).eval()

    def _tell(self, what: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(what, done, total)

    def make(self, folder: Path) -> Findings:
        """Write the file into a folder.

        Raises:
            ExportRefusedError: It does not answer as the network does.
        """
        self._tell("writing", 0, 1)
        session = write_exact(self.model, folder, self.description)
        sizes = compare_sizes(self._graph, session, self.images, GateLimits())
        silent = self._silent()
        disturbed_sizes = []
        if silent:
            self._tell("writing once more, with the enhancements disturbed", 0, 1)
            disturbed_sizes = self._compare_disturbed(folder)
        floating = None
        if self.description.precision == "int8":
            session, (reduced_sizes, scores), floating = self._quantize(folder)
        elif self.limits.is_exact:
            reduced_sizes, scores = [], self._scores(session)
        else:
            session = open_session(folder, self.description)
            reduced_sizes, scores = self._judge(session)
        if self.description.format != "onnx":
            (folder / FILES["onnx"]).unlink(missing_ok=True)
        return Findings(
            source=self.images.source,
            calibration=self.calibration.source if self.description.precision == "int8" else None,
            device=session.device,
            limits=self.limits,
            sizes=sizes,
            reduced_sizes=reduced_sizes,
            scores=scores,
            silent_enhancements=silent,
            disturbed_sizes=disturbed_sizes,
            floating=floating,
        )

    def _judge(self, session: Session) -> tuple[list[SizeCheck], ScoreCheck]:
        sizes = compare_sizes(self._graph, session, self.images, self.limits)
        return sizes, self._scores(session)

    def _scores(self, session: Session) -> ScoreCheck:
        return compare_scores(
            self._graph,
            session,
            self.images,
            self.description.labels,
            self.limits,
            max_images=self.max_images,
            on_progress=lambda done, total: self._tell("comparing", done, total),
        )

    def _quantize(
        self, folder: Path
    ) -> tuple[Session, tuple[list[SizeCheck], ScoreCheck], Floating]:
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            return quantize(
                set_aside(folder, Path(aside), self.description),
                folder,
                self.description,
                self._calibration_images(),
                self._judge,
                seconds=60 * self.minutes,
                tell=self._tell,
            )

    def _silent(self) -> list[str]:
        _, pixels = list(patches(self.images))[1]
        return silent_enhancements(self.model, torch.from_numpy(pixels).permute(0, 3, 1, 2))

    def _compare_disturbed(self, folder: Path) -> list[SizeCheck]:
        other = disturbed(self.model)
        with tempfile.TemporaryDirectory(dir=folder) as trial:
            session = write_exact(other, Path(trial), self.description)
            return compare_sizes(InferenceGraph(other).eval(), session, self.images, GateLimits())

    def _calibration_images(self) -> list[NDArray[np.uint8]]:
        chosen = spread_evenly(len(self.calibration), CALIBRATION_IMAGES)
        return [self.calibration[index].pixels[None] for index in chosen]


def _find_images(
    data: DataConfig | None,
    split: str,
    folder: Path | None,
    labels: LabelSet,
    model: SegmentationModel,
    precision: Precision,
) -> tuple[Images, Images]:
    """Find the images to compare on, and others for calibration where they are needed."""
    takes_edges = model.edge_channels > 0
    choose = partial(choose_images, labels=labels, pixels=model.pixels, takes_edges=takes_edges)
    images = choose(data, split, folder)
    if precision != "int8":
        return images, images
    if folder is not None:
        calibration, images = halves(images)
        return images, calibration
    other = "val" if split == "train" else "train"
    return images, choose(data, other, None)


def _labels_of(run: Path, model: SegmentationModel) -> LabelSet:
    """Return the classes of a saved network; where they were not saved, numbered ones."""
    count = model.num_labels
    names = tuple(f"class_{index}" for index in range(count))
    return read_saved(run).labels or LabelSet(
        names, default_palette(count), is_multilabel=model.space.overlaps
    )


def describe(model: SegmentationModel, labels: LabelSet, data: DataConfig) -> Description:
    """Describe a network as an export in ONNX and fp32.

    Args:
        model: The network.
        labels: Its classes.
        data: What it was trained on.
    """
    spec = model.spec
    names = [name for part in spec["enhancements"] for name in part]
    mean, std = model.normalization
    return Description(
        format="onnx",
        precision="fp32",
        file=FILES["onnx"],
        network=" + ".join([f"{spec['architecture']} on {spec['encoder_name']}", *names]),
        mode=model.mode,
        labels=labels,
        image_channels=model.shape.image_channels,
        edge_channels=model.edge_channels,
        mean=mean,
        std=std,
        hu_window=data.hu_window,
        has_probabilities=False,
        weights_sha256=weights_digest(model),
        segloom_version=version("segloom"),
        pixels=model.pixels,
    )


def _check_place(out: Path) -> None:
    """Refuse to replace anything but an export."""
    if out.exists() and not (out.is_dir() and (is_export(out) or not any(out.iterdir()))):
        raise ConfigError(
            f"{out} holds something else than an export; choose another folder with --out."
        )


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """Make a folder beside ``out``, on the same disk, that is gone afterwards whatever happens."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise SegloomError(
            f"cannot write to {out.parent} ({error}); choose another folder with --out."
        ) from error
    try:
        (folder / "new").mkdir()
        yield folder / "new"
    except OSError as error:
        raise SegloomError(
            f"cannot write to {out.parent} ({error}); free space there or choose another folder."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(folder: Path, out: Path) -> None:
    """Put the finished folder in its place; an earlier export stays until then."""
    if out.exists():
        out.replace(folder.with_name("old"))
    folder.replace(out)
