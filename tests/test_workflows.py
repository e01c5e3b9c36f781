"""The workflows run what a laptop runs, on every Python that the package promises."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / ".github").rglob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def steps(name: str) -> dict[str, list[dict[str, object]]]:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())["jobs"]
    return {job: content["steps"] for job, content in jobs.items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_yaml_with_content(path):
    assert yaml.safe_load(path.read_text())


def test_the_same_script_runs_on_every_promised_python_and_system():
    content = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    matrix = content["jobs"]["run"]["strategy"]["matrix"]
    promised = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert matrix["python"] == promised
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    found = steps("test.yml")
    assert "bash .ci/run" in [step.get("run") for step in found["run"]]
    assert "make test-lowest" in [step.get("run") for step in found["lowest"]]


def test_targets_that_workflows_and_the_script_name_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [path.read_text() for path in [*FILES, ROOT / ".ci" / "run"]]
    named = {t for text in texts for t in re.findall(r"^(?:.*run: )?make ([a-z-]+)", text, re.M)}
    assert {"lint", "docs", "test", "test-lowest"} <= named <= targets


def test_a_release_is_published_without_a_password_by_an_environment():
    text = (ROOT / ".github/workflows/release.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["publish"]["environment"] == "pypi"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
