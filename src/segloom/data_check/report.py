"""The check of a folder: what it holds, what is wrong with it, and the options that fit it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.config.load import dump_data_options
from segloom.data.pairing import find_images, images_alone, match_keys, split_folder
from segloom.data.sets.camvid import CAMVID, LABELED, NUM_FRAMES, STILLS
from segloom.data_check.conclude import conclude
from segloom.data_check.contents import Contents, FilePair, read_contents, rgb, spell, spread
from segloom.data_check.file_findings import file_findings
from segloom.data_check.finding import Finding
from segloom.data_check.known import find_known, places_in, read_known, simpler
from segloom.data_check.layout import Layout, Tree, find_layout, scan, several_masks
from segloom.data_check.meaning import Meaning
from segloom.data_check.named import NamedClasses, conclude_named, find_names
from segloom.data_check.several import find_bands, find_mask_files
from segloom.data_check.training import check_training
from segloom.errors import ConfigError, DataError
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
    options: dict[str, object] = field(default_factory=dict)
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

    def to_dict(self) -> dict[str, object]:
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
    if (several := find_mask_files(tree)) is not None:
        values = {**several, "root": directory, "classes": tuple(classes)}
        return _check_known(DataConfig.model_validate(values), directory, limit, progress)
    layout = find_layout(tree)
    report = DataReport(directory, layout, findings=_no_images(tree))
    if layout is None:
        report.findings.append(_no_layout(tree))
        return report
    pairs = _pairs(report, layout)
    report.findings += _left_out(report, tree)
    contents = read_contents(spread(pairs, limit), progress)
    named = None if classes else _find_names(directory, report)
    meaning = _conclude(contents, named, classes)
    report.storage, report.num_read = meaning.storage, contents.num_read
    report.sizes = {f"{w}x{h}": n for (h, w), n in contents.sizes.most_common()}
    report.labels = _rows(contents, meaning)
    report.findings += [*file_findings(contents), *meaning.findings]
    if meaning.options:
        report.options = _options(directory, layout, meaning)
        _recognise_camvid(report, layout, pairs)
        _check_as_trained(report, is_quick=limit is not None, are_named=bool(classes or named))
    return report


def _no_images(tree: Tree) -> list[Finding]:
    """Describe which files of a folder are no images, or only look like some."""
    found = []
    if tree.others:
        kinds = ", ".join(f"{n} {ending}" for ending, n in tree.others.most_common(5))
        found.append(Finding("note", "other-files", f"left out, no images: {kinds}."))
    if tree.irregular:
        message = f"{len(tree.irregular)} things are named like images but are no files."
        found.append(Finding("problem", "irregular", message, tuple(tree.irregular)))
    return found


def _conclude(contents: Contents, named: NamedClasses | None, classes: Sequence[str]) -> Meaning:
    """Describe what label values mean, by the file that names them if it is about them."""
    meaning = conclude_named(contents, named) if named is not None else None
    return meaning or conclude(contents, classes)


def _left_out(report: DataReport, tree: Tree) -> list[Finding]:
    """Say which images of a folder the layout leaves without a pair, and what to do about it."""
    outside = tree.num_images - sum(
        2 * count.pairs + count.images_alone + count.masks_alone for count in report.splits.values()
    )
    found = []
    if outside > 0:
        message = f"{outside} image files are in none of these folders or do not fit their names."
        level = "problem" if 2 * outside > tree.num_images else "note"
        found.append(Finding(level, "outside-files", message))
    if any(count.images_alone for count in report.splits.values()):
        found += _several(tree)
    elif 2 * outside > tree.num_images:
        found += [one for one in _several(tree) if one.kind == "bands"]
    return found


def _check_as_trained(report: DataReport, *, is_quick: bool, are_named: bool = True) -> None:
    """Add what the reader and the decoder of training say, unless more basic problems stand."""
    if not report.is_fine:
        return
    config = DataConfig.model_validate(report.options)
    try:
        found = check_training(config, is_quick=is_quick)
    except (DataError, ConfigError) as error:
        found = [Finding("problem", "unreadable", f"training cannot read this: {error}")]
    told = {finding.kind for finding in report.findings}
    for finding in found:
        if finding.kind == "nearest" and told & {"smeared", "jpeg-binary"}:
            continue
        if finding.kind in told:
            continue
        if finding.kind == "absent" and not are_named:  # the names are ours, for unused ids too
            finding = replace(finding, level="note")
        report.findings.append(finding)


def _find_names(directory: Path, report: DataReport) -> NamedClasses | None:
    try:
        return find_names(directory)
    except DataError as error:
        report.findings.append(Finding("problem", "names", str(error)))
        return None


def _check_known(
    config: DataConfig,
    directory: Path,
    limit: int | None,
    progress: Callable[[int, int], None] | None,
) -> DataReport:
    """Report on a data set that has a reader of its own, as that reader sees it."""
    known = read_known(config, limit, progress)
    if (better := simpler(config, known)) is not None:
        return _check_known(better, directory, limit, progress)
    report = DataReport(directory, None, options={"name": config.name, "root": str(directory)})
    report.storage = f"as the reader {config.name} gives them"
    area = 0  # of which shares are; 0: of what is counted
    if config.mask_format == "multilabel":
        report.options |= {"mask_format": "multilabel", "classes": list(known.classes)}
        report.storage = "0 and 255, a file per class; shares may add up to more than 1"
        area = sum(h * w * number for (h, w), number in known.contents.sizes.items())
    elif config.name == "mask_files":
        report.options |= {**places_in(config), "classes": list(known.classes)}
    elif config.classes:
        report.options |= {"classes": list(config.classes)}
    report.splits = {split: SplitCount(count) for split, count in known.splits.items()}
    report.num_read = known.contents.num_read
    report.sizes = {f"{w}x{h}": n for (h, w), n in known.contents.sizes.most_common()}
    meaning = Meaning(report.storage, names={**dict(enumerate(known.classes)), IGNORE_INDEX: VOID})
    report.labels = _rows(known.contents, meaning, area)
    report.findings = [*known.findings, *file_findings(known.contents)]
    _check_as_trained(report, is_quick=limit is not None)
    return report


def _several(tree: Tree) -> list[Finding]:
    """Describe what to do with several label maps of one image."""
    if bands := find_bands(tree):
        message = (
            f"images lie in a file per band ({', '.join(bands)}); read them with data.bands: "
            f"[{', '.join(bands)}] and {{band}} in data.images or data.image_ending."
        )
        return [Finding("problem", "bands", message)]
    found = several_masks(tree)
    if not found:
        return []
    base, names = next(iter(found.items()))
    message = (
        f"{len(found)} images have several label maps each, such as {names[0]} and {names[1]} for "
        f"{base}, and these are no masks of one class or object (0 and 255); keep one of them, or "
        "export a mask for each class."
    )
    return [Finding("problem", "several-masks", message)]


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
    root = report.directory
    for split in layout.splits:
        images = split_folder(root, layout.images, split)
        masks = split_folder(root, layout.masks, split)
        if images is not None:
            yield split, images, masks or root / layout.masks
    if not layout.splits:
        yield "all", root / layout.images, root / layout.masks


def _pairs(report: DataReport, layout: Layout) -> list[FilePair]:
    """Pair by the folder reader's rule, but list what it would refuse."""
    pairs: list[FilePair] = []
    for split, images, masks in _folders(report, layout):
        try:
            found = find_images(images, layout.image_ending, faults=[])  # `scan` names them
            labels = find_images(masks, layout.mask_ending, faults=[])
        except DataError as error:
            report.findings.append(Finding("problem", "same-name", str(error)))
            continue
        if images == masks:
            found = images_alone(found, labels)
        alone, used = [], set()
        for key, same in match_keys(found, labels).items():
            if len(same) != 1:
                alone.append(found[key])
                continue
            used.add(same[0])
            pairs.append(FilePair("" if split == "all" else split, found[key], same[0]))
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


def _rows(contents: Contents, meaning: Meaning, total: int = 0) -> list[LabelRow]:
    """List the stored values; ``total`` are all pixels where a pixel may count several times."""
    found = [(spell(rgb(code)), code, count) for code, count in contents.colors.items()]
    for value, count in contents.values.items():  # among colours, by the colour that it shows
        code = min(contents.shows(value)) if contents.colors else value
        found.append((str(value), code, count))
    total = total or max(1, sum(count.pixels for _, _, count in found))
    rows = []
    for text, code, count in found:
        name = meaning.names.get(code, "")
        rows.append((code, LabelRow(text, count.pixels / total, count.files, name)))
    by_share = bool(contents.colors) or len(rows) > 64
    rows.sort(key=lambda row: (-row[1].share if by_share else row[0], row[0]))
    return [row for _, row in rows]


def _options(directory: Path, layout: Layout, meaning: Meaning) -> dict[str, object]:
    options: dict[str, object] = {
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


def _recognise_camvid(report: DataReport, layout: Layout, pairs: list[FilePair]) -> None:
    """Give CamVid its own reader, and say so if it is not the split that papers use."""
    if not pairs or not all(CAMVID_STEM.match(pair.image.stem) for pair in pairs):
        return
    is_segnet = (layout.images, layout.masks) == ("{split}", "{split}annot")
    is_original = (layout.images, layout.masks) == (STILLS, LABELED)
    values = {int(row.value) for row in report.labels if row.value.isdecimal()}
    if is_segnet and max(values, default=0) <= 11:
        _name_segnet(report)
    elif not is_original:
        return
    report.options = {"name": "camvid", "root": str(report.directory)}


def _name_segnet(report: DataReport) -> None:
    """Name the classes of the SegNet layout, and compare its splits with those of papers."""
    report.findings = [f for f in report.findings if f.kind not in ("gaps", "unused-ids")]
    names = {str(class_id): name for class_id, name in enumerate(CAMVID.classes)}
    report.labels = [replace(row, name=names.get(row.value, VOID)) for row in report.labels]
    message = "this is CamVid in the SegNet layout: 11 classes, 11 is void."
    report.findings.append(Finding("note", "camvid", message))
    counts = {split: count.pairs for split, count in report.splits.items()}
    if counts != NUM_FRAMES:
        usual = "/".join(str(number) for number in NUM_FRAMES.values())
        message = f"the splits hold {counts}, but papers use {usual}: scores do not compare."
        report.findings.append(Finding("note", "camvid-split", message))
