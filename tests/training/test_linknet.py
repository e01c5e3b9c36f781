"""The LinkNet recipe learns from real CamVid, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from segloom.cli.main import main


@pytest.fixture
def small_camvid(shared: Path, tmp_path: Path) -> Path:
    """Eight training and two validation images of CamVid at a third of their size."""
    source = shared / "data" / "camvid"
    for split, count in (("train", 8), ("val", 2)):
        paths = sorted((source / split).glob("*.jpg"))
        for path in paths[:: len(paths) // count][:count]:
            label = source / f"{split}annot" / f"{path.stem}.png"
            for file, folder in ((path, split), (label, f"{split}annot")):
                target = tmp_path / "camvid" / folder / f"{path.stem}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.open(file).resize((160, 120), Image.Resampling.NEAREST).save(target)
    return tmp_path / "camvid"


@pytest.mark.slow
def test_loss_falls_on_camvid(small_camvid: Path, shared: Path, tmp_path: Path) -> None:
    weights = shared / "data" / "weights" / "resnet18.safetensors"
    words = ["train", "linknet", "--data.root", str(small_camvid), "--train.out"]
    words += [str(tmp_path / "run"), "--model.encoder-weights", str(weights), "--data.cache"]
    words += ["False", "--data.crop", "96", "128", "--data.batch-size", "4", "--train.epochs", "6"]
    words += ["--train.validate-every", "6", "--train.tensorboard", "False"]
    assert main(words) == 0
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train/cross_entropy"] for line in lines]
    assert len(losses) == 6
    assert losses[-1] < 0.95 * losses[0]  # after twelve steps
