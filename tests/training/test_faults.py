"""A training alone in its folder, and what a full disk or a kill leaves there."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from segloom.cli.main import main
from segloom.config import RunConfig
from segloom.config.load import dump_config
from segloom.errors import ConfigError
from segloom.run_directory import RunDirectory
from segloom.training import train
from segloom.training.directory import claim_run


@pytest.fixture
def recipe(tiny: Callable[..., RunConfig], tmp_path: Path) -> Callable[..., str]:
    """Write a configuration file that the command line trains from."""

    def write(**options: object) -> str:
        path = tmp_path / "tiny.yaml"
        path.write_text(dump_config(tiny(train__epochs=1, **options)))
        return str(path)

    return write


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount disks in memory of a size; skip where that is not allowed."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        disk = tmp_path / f"disk{len(mounted)}"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        allowed = os.geteuid() == 0 and shutil.which("mount") is not None
        if not allowed or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk cannot be mounted here")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", str(disk)], check=False, capture_output=True)


def test_a_second_training_in_one_folder_is_refused(tiny: Callable[..., RunConfig]) -> None:
    config = tiny()
    run = RunDirectory(config.train.out or Path())
    with claim_run(run), pytest.raises(ConfigError, match=r"another training is writing to .*run"):
        train(config)
    assert not run.config.exists()


def test_the_lock_belongs_to_the_process(tmp_path: Path) -> None:
    """Another process holds it, is killed, and the folder is free again."""
    run = RunDirectory(tmp_path / "run")
    program = (
        "import sys, time; from pathlib import Path\n"
        "from segloom.run_directory import RunDirectory\n"
        "from segloom.training.directory import claim_run\n"
        "with claim_run(RunDirectory(Path(sys.argv[1]))):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    words = [sys.executable, "-c", program, str(run.path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="another training"), claim_run(run):
            pass
        other.kill()
        other.wait()
    with claim_run(run):
        pass


def test_the_lock_is_held_through_an_overwrite_and_to_the_end(
    tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(train__epochs=1)
    path = train(config).path
    seen = []

    def look(*_: object, **__: object) -> None:
        lock = FileLock(path / ".lock")
        with pytest.raises(TimeoutError):
            lock.acquire(timeout=0)
        seen.append(path)

    monkeypatch.setattr("segloom.training.fit.fit", look)
    monkeypatch.setattr("segloom.training.fit._result", look)
    train(config.model_copy(update={"train": config.train.model_copy(update={"overwrite": True})}))
    assert seen == [path, path]


def test_a_refusal_leaves_no_trace(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        train(tiny())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigError, match="holds no run"):
        train(tiny(train__resume=True, train__out=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_leftovers_of_a_kill_are_removed_at_the_next_start(tiny: Callable[..., RunConfig]) -> None:
    path = train(tiny(train__epochs=1)).path
    checkpoints = path / "checkpoints"
    leftovers = [
        path / ".segloom-abcd1234.jsonl",
        checkpoints / ".segloom-abcd1234.ckpt",
        checkpoints / "trainer.part",
        checkpoints / "last" / ".tmpjCuKtx",
        checkpoints / "best" / ".model.4cb2ya47.safetensors",
    ]
    for leftover in leftovers:
        leftover.touch()
    train(tiny(train__resume=True))
    assert [leftover.name for leftover in leftovers if leftover.exists()] == []
    assert RunDirectory(path).trainer_state.is_file()


def test_the_state_does_not_pass_through_the_temporary_folder(
    tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = tempfile.mkstemp

    def mkstemp(*words: object, **options: object) -> tuple[int, str]:
        if options.get("dir") in (None, tempfile.gettempdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*words, **options)  # type: ignore[arg-type]

    config = tiny(train__epochs=1)
    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "full"))
    path = train(config).path
    state = torch.load(RunDirectory(path).trainer_state, weights_only=True)
    assert state["callbacks"]["Saver"]["position"] == [1, 0]


@pytest.mark.parametrize("size", ["16k", "200k", "700k", "1200k"])
def test_a_full_disk_is_one_sentence(
    recipe: Callable[..., str],
    small_disk: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    size: str,
) -> None:
    out = small_disk(f"size={size}") / "run"
    assert main(["train", recipe(train__out=out)]) == 2
    assert "the disk is full; free some space there" in _last(capsys)
    assert not list(out.rglob(".segloom-*"))
    command = ["mount", "-o", "remount,size=60m", str(out.parent)]
    subprocess.run(command, check=True, capture_output=True)
    has_state = RunDirectory(out).trainer_state.is_file()
    words = ["--train.resume"] if has_state else ["--train.overwrite"]
    assert main(["train", recipe(train__out=out), *words]) == 0


def test_a_read_only_folder_is_one_sentence(
    recipe: Callable[..., str],
    small_disk: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = small_disk("size=60m,ro") / "run"
    assert main(["train", recipe(train__out=out)]) == 2
    assert "the file system is read-only; choose another folder" in _last(capsys)


def _last(capsys: pytest.CaptureFixture[str]) -> str:
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    return errors.strip().splitlines()[-1]
