"""What the doctor finds wrong, each with its repair."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError

import pytest

from segloom.cli import doctor
from segloom.cli.doctor import Check, examine


def found() -> dict[str, Check]:
    return {check.name: check for check in examine()}


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of packages by name; one that is not there is not installed."""
    known = dict.fromkeys(doctor.PACKAGES, "1.0")

    def version(name: str) -> str:
        if name not in known:
            raise PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(doctor, "version", version)
    return known


def test_a_package_that_is_missing_or_malicious_fails_with_its_repair(
    versions: dict[str, str],
) -> None:
    del versions["timm"]
    versions["lightning"] = "2.6.3"
    checks = found()
    assert checks["timm"] == Check("timm", False, "missing; pip install timm")
    assert checks["lightning"] == Check(
        "lightning", False, "2.6.3 is a malicious release; pip install -U lightning"
    )
    assert checks["torch"] == Check("torch", True, "1.0")


@pytest.mark.parametrize(
    ("package", "number"),
    [("lightning", "2.6.1"), ("lightning", "2.6.4"), ("timm", "2.6.2")],
)
def test_other_releases_and_other_packages_of_that_number_are_fine(
    package: str, number: str, versions: dict[str, str]
) -> None:
    versions[package] = number
    assert found()[package] == Check(package, True, number)


@pytest.mark.parametrize(("number", "is_enough"), [((3, 10, 14), False), ((3, 11, 0), True)])
def test_python_is_3_11_or_later(
    number: tuple[int, ...], is_enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.version_info", number)
    assert found()["python"].ok == is_enough


def test_torchvision_of_another_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*inputs: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore lines")

    monkeypatch.setattr("torchvision.ops.nms", broken)
    assert found()["torchvision operators"] == Check(
        "torchvision operators",
        False,
        "torchvision was built for another torch; reinstall both from the same index",
    )


def test_what_cannot_be_looked_at_fails_alone_with_the_first_line_of_its_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(path: str) -> None:
        raise OSError("no such disk\nat all")

    monkeypatch.setattr("shutil.disk_usage", refuse)
    checks = found()
    assert checks["disk"] == Check("disk", False, "no such disk")
    assert checks["cache of decoded images"].ok


def test_the_answer_is_1_as_soon_as_one_check_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [Check("python", True, "3.12"), Check("timm", False, "missing; pip install timm")]
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    assert doctor.run([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["ok", "python", "3.12"],
        ["FAIL", "timm", "missing;", "pip", "install", "timm"],
    ]
    assert lines[0].index("3.12") == lines[1].index("missing")
    assert doctor.run(["--json"]) == 1
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "timm",
        "ok": False,
        "detail": "missing; pip install timm",
    }
    monkeypatch.setattr(doctor, "examine", lambda: checks[:1])
    assert doctor.run([]) == 0
