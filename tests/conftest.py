"""What every test may use: the reference fixtures and real data, where they are present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SEGLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with ``fixtures/`` and ``data/``; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data at {SHARED} (set SEGLOOM_SHARED)")
    return SHARED
