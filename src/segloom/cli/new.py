"""``segloom new enhancement NAME``: a package of one's own to start from, with its test."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from segloom.cli.options import parse
from segloom.enhancements import list_enhancements
from segloom.errors import ConfigError
from segloom.files import write_text

__all__ = ["NewOptions", "run"]

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{package}"
version = "0.1.0"
description = "{title}: an enhancement for segloom."
requires-python = ">=3.11"
dependencies = ["segloom"]

[project.optional-dependencies]
test = ["pytest"]

[project.entry-points."segloom.enhancements"]
{name} = "{module}:{title}Config"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

MODULE = '''\
"""{title}: scales every channel of one encoder map by a learned factor. Replace it by your idea.

As a package (pip install -e .) or as a file (segloom --plugin {module}.py ...), it is the
enhancement `{name}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segloom import Enhancement, EnhancementConfig
from segloom.types import ModelShape


@dataclass(frozen=True, kw_only=True)
class {title}Config(EnhancementConfig):
    """Options: the command line sets them ({name}:level=2), and a network is saved with them."""

    level: int | None = None
    """Encoder level; None is the deepest."""

    def build(self, shape: ModelShape) -> {title}:
        """Make the module for a network of this shape."""
        deepest = max(spec.level for spec in shape.features if spec.channels)
        index, feature = shape.level(deepest if self.level is None else self.level)
        return {title}(index, feature.channels)


class {title}(Enhancement):
    """Acts at the site `enrich`; segloom.Enhancement shows the others, such as `refine`."""

    def __init__(self, index: int, channels: int) -> None:
        super().__init__()
        self.index = index
        self.factor = nn.Parameter(torch.ones(channels))

    def enrich(
        self, image: Tensor, features: list[Tensor], signal: Any
    ) -> tuple[list[Tensor], Any]:
        """Change the encoder's maps (B, C, h, w), each keeping its shape."""
        factor = self.factor[:, None, None]
        changed = [
            feature * factor if place == self.index else feature
            for place, feature in enumerate(features)
        ]
        return changed, signal


PLUGINS = {{"enhancements": {{"{name}": {title}Config}}}}
'''

TEST = '''\
"""What must hold: the formula on a case computed by hand, and segloom's own checks."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from {module} import {title}, {title}Config  # noqa: E402

from segloom.testing import check_enhancement  # noqa: E402


def test_the_formula_on_a_case_computed_by_hand():
    part = {title}(1, 2)
    with torch.no_grad():
        part.factor.copy_(torch.tensor([2.0, 0.5]))
    features = [torch.ones(1, 2, 2, 2), torch.ones(1, 2, 1, 1)]
    (first, second), signal = part.enrich(torch.zeros(1, 3, 2, 2), features, None)
    assert torch.equal(first, features[0])
    assert second.flatten().tolist() == [2.0, 0.5]
    assert signal is None


def test_it_works_with_other_networks():
    fits = check_enhancement({title}Config(), architectures=["unet", "fpn", "segformer"])
    assert set(fits.values()) == {{""}}
'''

README = """\
# {package}

An enhancement for segloom, which must be installed already; `{module}.py` is all of it.

    pip install -e '.[test]'
    pytest
    segloom train demo --enhancements {name}
    segloom compare demo --enhancements none {name} control --seeds 0..2

Without installing: `segloom --plugin {module}.py train demo --enhancements {name}`.
"""


@dataclass
class NewOptions:
    """Write a package of your own to start from."""

    kind: Positional[Literal["enhancement"]]
    """What it brings."""
    name: Positional[str]
    """What it is called on the command line, in lower case, such as my_gate."""
    out: Path | None = None
    """Folder of the package; None is segloom-NAME here."""


def run(words: Sequence[str]) -> int:
    """Write the package and say what to type next."""
    options = parse(NewOptions, words, verb="new")
    name = options.name
    _check_name(name)
    package = f"segloom-{name.replace('_', '-')}"
    folder = options.out or Path(package)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already; choose another folder with --out.")
    module = f"segloom_{name}"
    title = "".join(part.capitalize() for part in name.split("_"))
    files = {
        folder / "pyproject.toml": PROJECT,
        folder / "README.md": README,
        folder / f"{module}.py": MODULE,
        folder / "tests" / f"test_{module}.py": TEST,
    }
    for path, text in files.items():
        write_text(path, text.format(name=name, title=title, module=module, package=package))
    print(f"{folder} is written: {', '.join(str(path.relative_to(folder)) for path in files)}")
    print(f"next: cd {folder} && pip install -e '.[test]' && pytest")
    return 0


def _check_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise ConfigError(
            f"'{name}' cannot be the name of a Python module; take lower-case letters, digits and "
            "underscores, such as my_gate."
        )
    if name in list_enhancements():
        raise ConfigError(f"there is an enhancement {name} already; choose another name.")
