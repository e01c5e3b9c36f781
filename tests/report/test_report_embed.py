"""Embedded pictures: small, whole, and None instead of an error."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segloom.report.embed import embed_picture


def _decode(address: str) -> Image.Image:
    head, _, content = address.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_a_small_picture_keeps_its_size_and_colors(tmp_path: Path) -> None:
    Image.new("RGB", (90, 40), (128, 64, 128)).save(tmp_path / "a.png")
    embedded = embed_picture(tmp_path / "a.png", limit=100_000)
    assert embedded is not None
    image = _decode(embedded.address)
    assert image.size == (90, 40) == (embedded.width, embedded.height)
    assert np.abs(np.asarray(image).astype(int) - (128, 64, 128)).max() <= 6


@pytest.mark.parametrize("limit", [20_000, 200_000])
def test_noise_is_shrunk_until_it_fits(tmp_path: Path, limit: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 1700, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    embedded = embed_picture(tmp_path / "a.png", limit=limit)
    assert embedded is not None
    assert len(embedded.address) <= limit * 4 / 3 + 100
    assert _decode(embedded.address).size == (embedded.width, embedded.height)


def test_missing_and_broken_files_give_none(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (300, 300)).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("1", (20_000, 6_000)).save(tmp_path / "bomb.png")
    for name in ("none.png", "text.png", "cut.png", "bomb.png", "."):
        assert embed_picture(tmp_path / name, limit=1000) is None, name
