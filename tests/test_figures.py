"""Every page about a method shows a figure, and the script in docs/figures draws each of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCRIPT = DOCS / "figures" / "draw.py"
PAGES = sorted([*DOCS.glob("enhancements/*.md"), *DOCS.glob("architectures/*.md")])
NAMES = sorted(re.findall(r'^    "(\w+)": ', SCRIPT.read_text(), re.MULTILINE))
FIGURE = re.compile(r"!\[.+\]\(\.\./figures/(\w+)\.png\)")


def test_every_page_shows_a_figure_and_every_figure_is_shown():
    shown = {page.name: FIGURE.findall(page.read_text()) for page in PAGES}
    assert all(shown.values()), shown
    assert sorted({name for names in shown.values() for name in names}) == NAMES
    assert sorted(path.stem for path in SCRIPT.parent.glob("*.png")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_small_and_readable(name):
    path = SCRIPT.parent / f"{name}.png"
    assert path.stat().st_size < 150_000
    with Image.open(path) as picture:
        assert 400 <= picture.width <= 1200


def draw(out: Path, *names: str) -> list[str]:
    words = [sys.executable, str(SCRIPT), *names, "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return sorted(path.stem for path in out.glob("*.png"))


@pytest.mark.slow
def test_the_script_draws_every_figure_and_the_same_one_again(tmp_path):
    assert draw(tmp_path) == NAMES
    draw(tmp_path / "again", "linknet", "fam")
    for name in ("linknet", "fam"):
        again = tmp_path / "again" / f"{name}.png"
        assert again.read_bytes() == (tmp_path / f"{name}.png").read_bytes()


def test_the_wiring_is_read_off_the_network(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import torch
    from torch import nn
    from wiring import Block, trace

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1)
            self.last = nn.Conv2d(4, 5, 1)

        def forward(self, x):
            x = self.first(x)
            deep = nn.functional.interpolate(self.second(x.relu()).relu()[:, :4], scale_factor=2)
            return self.last(x + deep)

    blocks = [Block(name, name, "encoder", 0) for name in ("first", "second", "last")]
    first, second, last = trace(Small(), torch.randn(1, 3, 16, 16), blocks)
    assert (first.channels, first.stride, first.sources) == (4, 2, ())
    assert (second.channels, second.stride, second.sources) == (6, 4, ("first",))
    assert (last.channels, last.stride, set(last.sources)) == (5, 2, {"first", "second"})
