"""The distribution segloom-runtime: what it is made of, and that it runs alone."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from segloom.exports import Export
from segloom.runtime import load

FOLDER = Path(__file__).parents[2] / "distributions" / "segloom-runtime"
LIGHT = {"numpy", "PIL", "segloom_runtime"}

CODE = """
import json, sys
import numpy as np
import segloom_runtime
model = segloom_runtime.load(sys.argv[1], window=(64, 64), flip=True, threads=1)
result = model(sys.argv[2], probabilities=True)
np.savez(sys.argv[3], label_map=result.label_map, probabilities=result.probabilities)
heavy = {"torch", "segloom", "pydantic", "cv2"} & set(sys.modules)
print(json.dumps([sorted(heavy), segloom_runtime.__file__]))
"""


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", FOLDER / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(2).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path := tmp_path / "a.png")
    return path


def imports_at_the_top(file: Path) -> Iterator[str]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def check_runs_alone(python: str, exported: Export, image: Path, path: str) -> None:
    out = image.with_name("result.npz")
    words = [python, "-c", CODE, str(exported.folder), str(image), str(out)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    heavy, home = json.loads(done.stdout)
    assert heavy == []
    assert "segloom_runtime" in home
    expected = load(exported.folder, window=(64, 64), flip=True)(image, probabilities=True)
    with np.load(out) as found:
        np.testing.assert_array_equal(found["label_map"], expected.label_map)
        np.testing.assert_allclose(found["probabilities"], expected.probabilities, atol=1e-5)


def test_package_runs_alone_and_answers_alike(
    build: ModuleType, exported: Export, image: Path, tmp_path: Path
) -> None:
    build.write_package(tmp_path / "path" / "segloom_runtime")
    files = list((tmp_path / "path").rglob("*.py"))
    assert len(files) > 15
    for file in files:
        outside = set(imports_at_the_top(file)) - LIGHT - sys.stdlib_module_names
        assert outside == set(), file
    check_runs_alone(sys.executable, exported, image, str(tmp_path / "path"))


def test_only_import_lines_are_renamed(build: ModuleType) -> None:
    text = "from segloom.types import A\n    import segloom.files\nrun(`segloom export`)\n"
    assert build.renamed(text) == (
        "from segloom_runtime.types import A\n    import segloom_runtime.files\n"
        "run(`segloom export`)\n"
    )


@pytest.mark.slow
def test_wheel_installs_into_an_empty_environment(
    exported: Export, image: Path, tmp_path: Path
) -> None:
    """Needs a package index."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(FOLDER)]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode and "connection" in done.stderr.lower():
        pytest.skip("no package index")
    assert done.returncode == 0, done.stderr
    check_runs_alone(str(python), exported, image, "")
    (site,) = (tmp_path / "env").rglob("site-packages")
    bare = sum(f.stat().st_size for f in (site / "pip").rglob("*") if f.is_file())
    total = sum(f.stat().st_size for f in site.rglob("*") if f.is_file())
    assert total - bare < 200e6
