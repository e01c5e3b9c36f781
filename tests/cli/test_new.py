"""The package that ``segloom new enhancement NAME`` writes, and where it writes none."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from segloom.cli.new import run
from segloom.errors import ConfigError


def test_every_name_in_the_package_follows_from_the_one_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    assert run(["enhancement", "edge_gate2", "--out", str(folder)]) == 0
    names = ["pyproject.toml", "README.md", "segloom_edge_gate2.py"]
    test = "tests/test_segloom_edge_gate2.py"
    assert capsys.readouterr().out.splitlines() == [
        f"{folder} is written: {', '.join([*names, test])}",
        f"next: cd {folder} && pip install -e '.[test]' && pytest",
    ]
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "segloom-edge-gate2"
    assert project["project"]["entry-points"]["segloom.enhancements"] == {
        "edge_gate2": "segloom_edge_gate2:EdgeGate2Config"
    }
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"] == [names[2]]
    tree = ast.parse((folder / names[2]).read_text())
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
    assert classes == ["EdgeGate2Config", "EdgeGate2"]
    assert "http" not in (folder / "README.md").read_text()  # it names no page that may not exist
    for path in folder.rglob("*.*"):
        assert "{name}" not in path.read_text()
        assert "{{" not in path.read_text()


def test_without_a_folder_it_is_beside_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(["enhancement", "gate"])
    assert [path.name for path in tmp_path.iterdir()] == ["segloom-gate"]


@pytest.mark.parametrize("name", ["my-gate", "2gate", "Gate", "class", "my gate", ""])
def test_what_python_cannot_import_is_no_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        run(["enhancement", name, "--out", str(tmp_path / "new")])
    assert str(error.value) == (
        f"'{name}' cannot be the name of a Python module; take lower-case letters, digits and "
        "underscores, such as my_gate."
    )
    assert not (tmp_path / "new").exists()


def test_an_empty_folder_is_filled_and_a_file_or_a_full_one_is_left_alone(tmp_path: Path) -> None:
    empty, full, file = (tmp_path / name for name in ("empty", "full", "file"))
    empty.mkdir()
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    file.write_text("mine")
    assert run(["enhancement", "gate", "--out", str(empty)]) == 0
    for folder in (full, file):
        with pytest.raises(ConfigError) as error:
            run(["enhancement", "gate", "--out", str(folder)])
        assert str(error.value) == f"{folder} is there already; choose another folder with --out."
    assert [path.name for path in full.iterdir()] == ["notes.txt"]
    assert file.read_text() == "mine"
