"""The check of a folder: what it holds, what is wrong with it, and the options that fit it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segloom.config.data import DataConfig
from segloom.config.load import dump_data_options
from segloom.data.camvid import LABELED, NUM_FRAMES, STILLS
from segloom.data.check.conclude import Finding, Meaning, conclude
from segloom.data.check.contents import Contents, Pair, read_contents
from segloom.data.check.known import find_known, read_known
from segloom.data.check.layout import Layout, Tree, find_layout, scan
from segloom.data.folder import SPLIT_NAMES, find_images
from segloom.errors import DataError
from segloom.types import IGNORE_INDEX

__all__ = ["DataReport", "LabelRow", "SplitCount", "check"]

VOID = "(void)"
CAMVID_STEM = re.compile(r"^(0001TP|0006R0|0016E5|Seq05VD)_f?\d+")


@dataclass
class SplitCount:
    """How many files one split has."""

    pairs: int = 0
    images_alone: int = 0
    """Images without a label map."""
    masks_alone: int = 0
    """Label maps without an image."""


@dataclass(frozen=True)
class LabelRow:
    """One stored label value."""

    value: str
    """As `DataConfig.label_map` spells it."""
    share: float
    """Of all pixels, 0 to 1."""
    files: int
    """Label maps that hold it."""
    name: str
    """Class that the printed options give it; ``(void)`` for none."""


@dataclass
class DataReport:
    """Everything that `check` found."""

    directory: Path
    layout: Layout | None
    splits: dict[str, SplitCount] = field(default_factory=dict)
    """By split; the key ``all`` if folders do not divide the files."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Width x height to number of images."""
    storage: str = ""
    """How label maps store classes, in words."""
    labels: list[LabelRow] = field(default_factory=list)
    num_read: int = 0
    """Pairs that were read; fewer than there are if a limit was set."""
    findings: list[Finding] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    """Options of `DataConfig` that read this folder."""

    @property
    def is_fine(self) -> bool:
        """Whether nothing but the options below has to be written to use the folder."""
        return all(finding.level != "problem" for finding in self.findings)

    @property
    def yaml(self) -> str:
        """The options as lines of a configuration file; empty if there are none."""
        if not self.options:
            return ""
        return dump_data_options(self.options)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        values = asdict(self)
        return {**values, "directory": str(self.directory), "fine": self.is_fine, "yaml": self.yaml}


def check(
    directory: Path,
    *,
    classes: Sequence[str] = (),
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DataReport:
    """Look at every image and label map below a folder.

    Args:
        directory: Folder of the data set.
        classes: Names of the classes in the order of their ids, if they are known.
        limit: Read at most this many pairs, evenly spread; None reads all.
        progress: Called with the number of pairs read and the number to read.

    Raises:
        DataError: ``directory`` is no folder.
    """
    if not directory.is_dir():
        raise DataError(f"{directory} is not a folder; give the one that holds the data set.")
    if (config := find_known(directory, classes)) is not None:
        return _check_known(config, directory, limit, progress)
    tree = scan(directory)
    layout = find_layout(tree)
    report = DataReport(directory, layout)
    if tree.others:
        kinds = ", ".join(f"{n} {ending}" for ending, n in tree.others.most_common(5))
        report.findings.append(Finding("note", "other-files", f"left out, no images: {kinds}."))
    if layout is None:
        report.findings.append(_no_layout(tree))
        return report
    pairs = _pairs(report, layout)
    outside = tree.num_images - sum(
        2 * count.pairs + count.images_alone + count.masks_alone for count in report.splits.values()
    )
    if outside > 0:
        message = f"{outside} image files are in none of these folders or do not fit their names."
        report.findings.append(Finding("note", "outside-files", message))
    step = max(1, -(-len(pairs) // limit)) if limit else 1
    contents = read_contents(pairs[::step], progress)
    meaning = conclude(contents, classes)
    report.storage, report.num_read = meaning.storage, contents.num_read
    report.sizes = {f"{w}x{h}": n for (h, w), n in contents.sizes.most_common()}
    report.labels = _rows(contents, meaning)
    report.findings += [*_file_findings(contents), *meaning.findings]
    if meaning.options:
        report.options = _options(directory, layout, meaning)
        _recognise_camvid(report, layout, pairs)
    return report


def _check_known(
    config: DataConfig,
    directory: Path,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> DataReport:
    """Report on a data set that has a reader of its own, as that reader sees it."""
    known = read_known(config, limit, progress)
    report = DataReport(directory, None, options={"name": config.name, "root": str(directory)})
    is_multilabel = config.mask_format == "multilabel"
    if is_multilabel:
        report.options |= {"mask_format": "multilabel", "classes": list(known.classes)}
    report.splits = {split: SplitCount(count) for split, count in known.splits.items()}
    report.storage = f"as the reader {config.name} gives them"
    if is_multilabel:
        report.storage = "0 and 255, a file per class; shares may add up to more than 1"
    report.num_read = known.contents.num_read
    report.sizes = {f"{w}x{h}": n for (h, w), n in known.contents.sizes.most_common()}
    meaning = Meaning(report.storage, names={**dict(enumerate(known.classes)), IGNORE_INDEX: VOID})
    pixels = sum(h * w * number for (h, w), number in known.contents.sizes.items())
    report.labels = _rows(known.contents, meaning, pixels if is_multilabel else 0)
    report.findings = [*known.findings, *_file_findings(known.contents)]
    return report


def _no_layout(tree: Tree) -> Finding:
    if not tree.num_images:
        message = f"{tree.root} holds no image files; give the folder that holds the data set."
        return Finding("problem", "no-images", message)
    message = (
        f"{tree.num_images} images, but no two folders whose file names pair up and of which one "
        "looks like label maps; name a label map like its image, in a folder of its own (images/ "
        "and masks/) or with _mask at the end."
    )
    return Finding("problem", "no-pairs", message)


def _folders(report: DataReport, layout: Layout) -> Iterable[tuple[str, Path, Path]]:
    """Split and both folders."""
    for split in layout.splits or ("all",):
        for name in SPLIT_NAMES.get(split, ("",)):
            images = report.directory / layout.images.replace("{split}", name)
            if images.is_dir():
                yield split, images, report.directory / layout.masks.replace("{split}", name)
                break


def _pairs(report: DataReport, layout: Layout) -> list[Pair]:
    """Pair by the folder reader's rule, but list what it would refuse."""
    pairs: list[Pair] = []
    for split, images, masks in _folders(report, layout):
        try:
            found = find_images(images, layout.image_ending)
            labels = find_images(masks, layout.mask_ending)
        except DataError as error:
            report.findings.append(Finding("problem", "same-name", str(error)))
            continue
        if images == masks:
            found = {key: path for key, path in found.items() if path not in set(labels.values())}
        by_stem: dict[str, list[Path]] = {}
        for key, path in labels.items():
            by_stem.setdefault(key.name, []).append(path)
        alone, used = [], set()
        for key, path in found.items():
            same = by_stem.get(key.name, [])
            mask = labels.get(key) or (same[0] if len(same) == 1 else None)
            if mask is None:
                alone.append(path)
                continue
            used.add(mask)
            pairs.append(Pair("" if split == "all" else split, path, mask))
        lonely = [path for path in labels.values() if path not in used]
        report.splits[split] = SplitCount(len(found) - len(alone), len(alone), len(lonely))
        report.findings += _alone(split, alone, lonely)
    return pairs


def _alone(split: str, images: list[Path], masks: list[Path]) -> list[Finding]:
    where = "" if split == "all" else f"{split}: "
    findings = []
    if images:
        message = f"{where}{len(images)} images have no label map; add it or move the image away."
        findings.append(Finding("problem", "no-mask", message, tuple(map(str, images))))
    if masks:
        message = f"{where}{len(masks)} label maps have no image; they are left out."
        findings.append(Finding("note", "no-image", message, tuple(map(str, masks))))
    return findings


def _file_findings(contents: Contents) -> list[Finding]:
    findings = []
    if contents.damaged:
        message = f"{len(contents.damaged)} files cannot be read; replace or remove them."
        findings.append(Finding("problem", "damaged", message, tuple(contents.damaged)))
    if contents.mismatched:
        message = f"{len(contents.mismatched)} label maps are not of the size of their image."
        findings.append(Finding("problem", "size", message, tuple(contents.mismatched)))
    twice = [files for files in contents.hashes.values() if len(files) > 1]
    leaks = [files for files in twice if len({split for split, _ in files}) > 1]
    if leaks:
        message = (
            f"{len(leaks)} images are in more than one split, so scores on them mean nothing; "
            "remove them from one."
        )
        listed = tuple(" = ".join(str(path) for _, path in files) for files in leaks)
        findings.append(Finding("problem", "leak", message, listed))
    elif twice:
        message = f"{len(twice)} images occur more than once."
        listed = tuple(" = ".join(str(path) for _, path in files) for files in twice)
        findings.append(Finding("note", "twice", message, listed))
    return findings


def _rows(contents: Contents, meaning: Meaning, total: int = 0) -> list[LabelRow]:
    """List the stored values; ``total`` are all pixels where a pixel may count several times."""
    found = [(f"{code >> 16},{code >> 8 & 255},{code & 255}", code, count)
             for code, count in contents.colors.items()]  # fmt: skip
    found += [(str(value), value, count) for value, count in contents.values.items()]
    total = total or sum(count.pixels for _, _, count in found) or 1
    rows = []
    for text, code, count in found:
        code = code * 0x010101 if contents.colors and "," not in text else code
        name = meaning.names.get(code, "")
        rows.append((code, LabelRow(text, count.pixels / total, count.files, name)))
    by_share = bool(contents.colors) or len(rows) > 64
    rows.sort(key=lambda row: (-row[1].share if by_share else row[0], row[0]))
    return [row for _, row in rows]


def _options(directory: Path, layout: Layout, meaning: Meaning) -> dict[str, Any]:
    options: dict[str, Any] = {
        "name": "folder",
        "root": str(directory),
        "images": layout.images,
        "masks": layout.masks,
        "image_ending": layout.image_ending,
        "mask_ending": layout.mask_ending,
        **meaning.options,
    }
    options = {key: value for key, value in options.items() if value not in ("", [], {})}
    DataConfig.model_validate(options)  # what is printed must be accepted
    return options


def _recognise_camvid(report: DataReport, layout: Layout, pairs: list[Pair]) -> None:
    """Give CamVid its own reader, and say so if it is not the split that papers use."""
    if not pairs or not all(CAMVID_STEM.match(pair.image.stem) for pair in pairs):
        return
    is_segnet = (layout.images, layout.masks) == ("{split}", "{split}annot")
    is_original = (layout.images, layout.masks) == (STILLS, LABELED)
    values = {int(row.value) for row in report.labels if row.value.isdecimal()}
    if is_segnet and max(values, default=0) <= 11:
        counts = {split: count.pairs for split, count in report.splits.items()}
        report.findings = [f for f in report.findings if f.kind not in ("gaps", "unused-ids")]
        void = {"11": VOID}
        from segloom.data.camvid import CAMVID

        names = {str(class_id): name for class_id, name in enumerate(CAMVID.classes)} | void
        report.labels = [
            LabelRow(row.value, row.share, row.files, names.get(row.value, VOID))
            for row in report.labels
        ]
        message = "this is CamVid in the SegNet layout: 11 classes, 11 is void."
        report.findings.append(Finding("note", "camvid", message))
        if counts != NUM_FRAMES:
            usual = "/".join(str(number) for number in NUM_FRAMES.values())
            message = f"the splits hold {counts}, but papers use {usual}: scores do not compare."
            report.findings.append(Finding("note", "camvid-split", message))
    elif not is_original:
        return
    report.options = {"name": "camvid", "root": str(report.directory)}
