"""A browser for tests of pages: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

# Containers lack the rights for a sandbox, and the pages are ours.
OPEN = "--no-sandbox"
WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
"""WebGPU computed by the processor: a graphics card is not needed."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start it once per file; the test is skipped where there is none.

    Not once for all: while Playwright runs, nothing else can start an event loop in this thread.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if program is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=[OPEN, *WEBGPU])
        yield running
        running.close()
