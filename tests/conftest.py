"""What every test may use: recorded results and real data, where they are present.

``--parity-table FILE`` runs only the tests that read recorded results, and writes what they found.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.browser import browser
from support.parity import FINDINGS, Findings, parity_table
from support.recorded_files import RECORDED

from segloom.data.sets.cityscapes_labels import LABELS

if TYPE_CHECKING:
    from support.recorded import Recording

__all__ = ["browser"]

FOUND = Findings()
"""What all tests of this run saw of recorded results."""

RECORDED_HERE = Path(__file__).with_name("recorded")
"""The small ones of the recorded results, in every checkout."""

SHARED = Path(os.environ.get("SEGLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with ``fixtures/`` and ``data/``; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data at {SHARED} (set SEGLOOM_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Recording]:
    """Read the results that an original program computed; see `support.recorded`.

    The test is skipped where a result is neither in ``tests/recorded`` nor in the shared folder.
    """
    from support.recorded import read_recording

    def read(name: str) -> Recording:
        for folder in (RECORDED_HERE, SHARED / "fixtures"):
            if any(folder.glob(f"*/{name}.*")):
                return read_recording(folder, name)
        pytest.skip(f"no recorded result {name} at {SHARED} (set SEGLOOM_SHARED)")

    return read


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--parity-table",
        metavar="FILE",
        help="run the tests that read recorded results, and write what they found as Markdown",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--parity-table"):
        folder = SHARED / "fixtures"
        missing = [name for name in RECORDED if not any(folder.glob(f"*/{name}.*"))]
        if missing:
            raise pytest.UsageError(
                f"{folder} lacks {len(missing)} of {len(RECORDED)} recorded results of the "
                f"original programs, {missing[0]} first; set SEGLOOM_SHARED to the folder that "
                "holds fixtures/. The page is not written."
            )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--parity-table"):
        own = [item for item in items if "recorded" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in own])
        items[:] = own


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield
    # Properties travel with the report, also from another process.
    item.user_properties.append(("parity", FINDINGS.take()))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for name, found in report.user_properties:
            if name == "parity":
                FOUND.add(Findings(**found))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path = session.config.getoption("--parity-table")
    if path and exitstatus == pytest.ExitCode.OK and not hasattr(session.config, "workerinput"):
        Path(path).write_text(parity_table(FOUND))


@pytest.fixture(scope="session")
def cityscapes_tree() -> Callable[..., Path]:
    """Write a small tree in the layout of Cityscapes; see `_make_tree`."""
    return _make_tree


@pytest.fixture(scope="session")
def cityscapes_labels() -> Callable[..., None]:
    """Write one label map of Cityscapes; see `_write_labels`."""
    return _write_labels


def _write_labels(stem: Path, ids: NDArray[np.uint8], kinds: tuple[str, ...]) -> None:
    """Write a map of label ids as the kinds of label file of the release."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    trained = [255 if label.train_id is None else label.train_id for label in LABELS]
    tables = {
        "labelIds": np.arange(34, dtype=np.uint8),
        "labelTrainIds": np.array(trained, np.uint8),
        "color": np.array([(*label.color, 255) for label in LABELS], np.uint8),
    }
    for kind in kinds:
        Image.fromarray(tables[kind][ids]).save(f"{stem}_{kind}.png")


def _make_tree(
    root: Path,
    cities: dict[str, tuple[str, ...]],
    *,
    kinds: tuple[str, ...] = ("labelIds", "labelTrainIds", "color"),
    frames: int = 2,
    size: tuple[int, int] = (34, 8),
    labels: str = "gtFine",
) -> Path:
    """Write noise images whose label maps hold one label per row; test has no label maps.

    Args:
        root: Where.
        cities: Cities of every split.
        kinds: Which kinds of label files to write.
        frames: Images per city.
        size: Height and width.
        labels: Folder of the label maps, gtFine or gtCoarse.
    """
    rng = np.random.default_rng(0)
    ids = np.repeat((np.arange(size[0]) % 34).astype(np.uint8)[:, None], size[1], axis=1)
    for split, names in cities.items():
        for city in names:
            for frame in range(frames):
                name = f"{city}_{frame:06}_000019"
                image = root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(image)
                if split != "test":
                    _write_labels(root / labels / split / city / f"{name}_{labels}", ids, kinds)
    return root


@pytest.fixture(autouse=True)
def _forget_compilations(request):
    """Let every slow test compile anew: torch gives up after eight networks of one class."""
    yield
    if request.node.get_closest_marker("slow"):
        import torch

        torch.compiler.reset()
