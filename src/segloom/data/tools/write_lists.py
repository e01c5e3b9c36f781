"""Writing a data set as lists of image, label map and edge map, matched by name.

The programs of DLSE and many others read such lists; `segloom.data.sets.lists` reads them too, and
with the options that are written beside them their label maps mean what the data set's reader says.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from segloom.config.data import DataConfig
from segloom.config.load import dump_data_options
from segloom.data.companions import files_by_name
from segloom.data.planes import PlainDecoder
from segloom.data.readers import read_source
from segloom.data.source import SPLITS, DatasetSource, settle_labels
from segloom.errors import DataError, NoSplitError
from segloom.files import write_text
from segloom.labels.decoder import LabelDecoder, make_decoder
from segloom.labels.palette import class_palette
from segloom.types import IGNORE_INDEX

__all__ = ["WrittenLists", "write_lists"]


@dataclass(frozen=True)
class WrittenLists:
    """What `write_lists` wrote."""

    counts: dict[str, int]
    """Samples by split."""
    options: Path
    """Configuration file that reads the lists as the data set's own reader reads its files."""


def write_lists(config: DataConfig, out: Path, edges: Path | None = None) -> WrittenLists:
    """Write ``train.csv``, ``val.csv`` and ``test.csv`` of a data set, and ``data.yaml``.

    Nothing is written before all splits and their edge maps are known to fit into lists.
    ``data.yaml`` holds the options with which the reader ``list`` gives every label map the same
    class ids.

    Args:
        config: The data set.
        out: Folder of the lists; a split that the data set does not have gets none.
        edges: Folder of edge maps, searched to the bottom. One belongs to the sample whose name it
            has, or whose name is what stands before a further "_" in its own. None takes those
            that the data set has.

    Raises:
        DataError: The data set cannot be read, its samples are no pairs of an image file and a
            label map, its splits are stored in different ways, or a sample has no edge map or
            several.
        ConfigError: The options contradict one another.
    """
    by_name = None if edges is None else files_by_name(edges, "edge map")
    sources = {}
    for split in SPLITS:
        try:
            sources[split] = read_source(config, split)
        except NoSplitError:
            continue
        _require_pairs(config, sources[split])
    texts = {split: _table(source, by_name, edges) for split, source in sources.items()}
    options = _common_options(config, sources)
    lists = {split: out / f"{split}.csv" for split in sources}
    paths = {split: str(path.absolute()) for split, path in lists.items()}
    for split, text in texts.items():
        write_text(lists[split], text)
    write_text(out / "data.yaml", dump_data_options({"name": "list", "lists": paths, **options}))
    counts = {split: len(source.records) for split, source in sources.items()}
    return WrittenLists(counts, out / "data.yaml")


def _require_pairs(config: DataConfig, source: DatasetSource) -> None:
    """Refuse samples that a line of two or three files cannot say."""
    if any(record.class_masks for record in source.records):
        raise DataError(
            "lists have one label map per image, but this data set has several masks "
            f"(data.name {config.name}); use the data set itself instead of lists."
        )
    is_plain = isinstance(source.decode, PlainDecoder)
    if not is_plain or any(record.part is not None for record in source.records):
        first = source.records[0]
        raise DataError(
            f"lists name image files and label maps, but the reader {config.name} makes its "
            f"samples from other files, such as {first.mask or first.image}; use the data set "
            f"itself instead of lists, with --data.name {config.name}."
        )
    if source.extra:
        raise DataError(
            "lists cannot say that images are drawn for data.class_uniform_coarse alone; leave "
            "that option out, or take all of them with data.coarse."
        )


def _table(source: DatasetSource, by_name: dict[str, list[Path]] | None, edges: Path | None) -> str:
    has_edges = by_name is not None or any(record.edge for record in source.records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "edge"] if has_edges else ["image", "label"])
    for record in source.records:
        if record.mask is None:
            raise DataError(f"image {record.image} has no label map; add it or remove the image.")
        cells = [record.image, record.mask]
        if by_name is not None:
            found = by_name.get(record.id, [])
            if len(found) != 1:
                raise DataError(
                    f"image {record.image} has {len(found)} edge maps below {edges}; it needs "
                    f"one, such as {record.id}.png."
                )
            cells += found
        elif record.edge is not None:
            cells.append(record.edge)
        writer.writerow([path.absolute() for path in cells])
    return text.getvalue()


def _common_options(config: DataConfig, sources: dict[str, DatasetSource]) -> dict[str, object]:
    """Describe what label maps mean, which the reader ``list`` must be told once for all splits."""
    if not sources:
        raise DataError(
            f"the data set '{config.name}' has no split with label maps; check data.root."
        )
    options = {split: _options(config, source) for split, source in sources.items()}
    first, *others = options
    for split in others:
        if options[split] != options[first]:
            raise DataError(
                f"the label maps of {split} hold other values than those of {first}, but lists are "
                "read in one way; give all splits the same kind of label file, and choose it with "
                "data.mask_format."
            )
    return options[first]


def _options(config: DataConfig, source: DatasetSource) -> dict[str, object]:
    own = source.labels
    if own is None:
        return _stated(config)
    labels, decoder = settle_labels(config, source, source)
    if config.scheme == "dlse" and decoder.unknown is not None:  # unknown values have a class
        return {"scheme": config.scheme, "mask_format": decoder.mask_format}
    is_color = decoder.mask_format == "color"
    palette = config.palette or (own.palette if own.classes == labels.classes else ())
    if not is_color and palette == class_palette(labels.classes):
        palette = ()
    voids = _voids(decoder)
    plain = make_decoder(
        len(labels.classes),
        decoder.mask_format,
        palette=palette if is_color else (),
        ignore_values=voids,
    )
    options: dict[str, object] = {
        "classes": list(labels.classes),
        "mask_format": decoder.mask_format,
        **({"palette": list(map(list, palette))} if palette else {}),
    }
    if plain.table != decoder.table:
        options["label_map"] = decoder.label_map
    elif voids:
        options["ignore_values"] = voids
    return options


def _stated(config: DataConfig) -> dict[str, object]:
    """Return the user's options, where a reader knows no more."""
    names = ("classes", "palette", "label_map", "mask_format", "ignore_values")
    values: dict[str, object] = config.model_dump(mode="json", include=set(names))
    return {name: values[name] for name in names if values[name] not in ([], {}, "auto")}


def _voids(decoder: LabelDecoder) -> list[int]:
    """List the stored ids, besides 255, that mean void."""
    if decoder.mask_format != "index":
        return []
    return [code for code, class_id in decoder.table if class_id == IGNORE_INDEX != code]
