"""A stopped or killed `segloom edges` or `segloom submit` goes on without doing a file again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from segloom.cli.main import main
from segloom.data.sets.cityscapes_labels import CITYSCAPES
from segloom.enhancements.hed.network import HedNetwork
from segloom.inference import submission
from segloom.models import create_model
from segloom.models.weights.checkpoint import save_pretrained

SIZE = (64, 128)
NUMBER = 24
PROGRAM = f"""
import signal, sys, torch
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs without
torch.set_num_threads(1)
from segloom.inference import submission
submission.SIZE = {SIZE}
from segloom.cli.main import main
sys.exit(main())
"""

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: -signal.SIGTERM, signal.SIGKILL: -signal.SIGKILL}
"""What a command returns: an interrupt is answered, the others end it."""

pytestmark = pytest.mark.slow


def stop_at_first(words: list[str], finished: Path, number: int) -> dict[Path, int]:
    """Run a command, signal it once a file lies in a folder; return the files with their times."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stderr=subprocess.PIPE)
    while process.poll() is None and not any(finished.glob("[!.]*.png")):
        time.sleep(0.002)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == SIGNALS[signal.Signals(number)], errors.decode()
    assert b"Traceback" not in errors
    files = {path: path.stat().st_mtime_ns for path in finished.glob("[!.]*.png")}
    assert 0 < len(files) < NUMBER, "it was to be stopped midway"
    for path in files:
        with Image.open(path) as image:
            image.load()  # whole
    return files


@pytest.mark.parametrize("number", SIGNALS)
def test_edges_go_on(number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for index in range(NUMBER):
        pixels = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{index}.png")
    torch.manual_seed(0)
    save_file(HedNetwork().state_dict(), tmp_path / "hed.safetensors")
    out = tmp_path / "out"
    words = ["edges", "--weights", str(tmp_path / "hed.safetensors"), "--in", str(tmp_path / "in")]
    words += ["--out", str(out), "--geometry", "simple", "--device", "cpu"]
    files = stop_at_first(words, out, number)
    assert main(words) == 0
    told = f"{NUMBER - len(files)} written, {len(files)} there already"
    assert told in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert len(list(out.glob("[!.]*.png"))) == NUMBER


@pytest.mark.parametrize("number", SIGNALS)
def test_a_submission_goes_on(
    number: int,
    tmp_path: Path,
    cityscapes_tree: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cities = {"test": ("berlin", "bonn")}
    root = cityscapes_tree(tmp_path / "data", cities, frames=NUMBER // 2, size=SIZE)
    model = create_model("fpn", encoder_name="tu-test_resnet", classes=19)
    save_pretrained(model, tmp_path / "model", CITYSCAPES)
    words = ["submit", "cityscapes", str(tmp_path / "model"), "--data.root", str(root)]
    words += ["--out", str(tmp_path / "out.zip"), "--partial"]
    files = stop_at_first(words, tmp_path / "out.zip.parts", number)
    assert not (tmp_path / "out.zip").exists()
    made, write = [], submission.write_label_png
    monkeypatch.setattr(submission, "SIZE", SIZE)
    monkeypatch.setattr(
        submission, "write_label_png", lambda path, ids: (made.append(path), write(path, ids))
    )
    assert main(words) == 0
    assert len(made) == NUMBER - len(files)
    assert not set(made) & set(files)
