"""A submission holds what the server of Cityscapes takes, whatever interrupts it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from support.recorded import seeded

from segloom.cli.main import main
from segloom.data.sets.cityscapes_labels import CITYSCAPES, LABEL_IDS
from segloom.errors import ConfigError, DataError
from segloom.inference import Predictor, submission, submit_cityscapes
from segloom.models import create_model
from segloom.models.weights.checkpoint import save_pretrained
from segloom.types import LabelSet

if TYPE_CHECKING:
    from support.recorded import Recording

NAMES = [f"{city}_{frame:06}_000019" for city in ("berlin", "bonn") for frame in (0, 1)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    model = create_model("fpn", encoder_name="tu-test_resnet", classes=19)
    save_pretrained(model, path / "checkpoints" / "best", CITYSCAPES)
    return path


@pytest.fixture
def root(
    tmp_path: Path, cityscapes_tree: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Four test images of 32 x 64 pixels; the real size would only take longer."""
    monkeypatch.setattr(submission, "SIZE", (32, 64))
    return cityscapes_tree(tmp_path / "data", {"test": ("berlin", "bonn")}, size=(32, 64))


def read_zip(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {
            name: np.array(Image.open(io.BytesIO(archive.read(name))))
            for name in archive.namelist()
        }


def test_the_zip_holds_label_ids_under_the_names_of_the_images(
    run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "submission.zip"
    words = ["submit", "cityscapes", str(run), "--data.root", str(root), "--out", str(out)]
    assert main([*words, "--partial"]) == 0
    assert "submission.zip: 4 label maps" in capsys.readouterr().out
    maps = read_zip(out)
    assert list(maps) == [f"{name}_pred.png" for name in NAMES]
    predictor = Predictor.from_path(run)
    for name, label_ids in maps.items():
        city, stem = name.partition("_")[0], name.removesuffix("_pred.png")
        image = root / "leftImg8bit" / "test" / city / f"{stem}_leftImg8bit.png"
        expected = predictor.label_map(np.array(Image.open(image)))
        assert label_ids.dtype == np.uint8
        np.testing.assert_array_equal(label_ids, np.array(LABEL_IDS)[expected])
    assert not list(tmp_path.glob("*.parts"))


def test_a_stopped_submission_goes_on_and_leaves_the_old_zip_until_then(
    run: Path,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, seen, predict = tmp_path / "out.zip", [], Predictor.label_map
    out.write_bytes(b"older")

    def stop_at_third(self: Predictor, image: np.ndarray) -> np.ndarray:
        seen.append(None)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return predict(self, image)

    monkeypatch.setattr(Predictor, "label_map", stop_at_third)
    words = ["submit", "cityscapes", str(run), f"--data.root={root}", "--out", str(out)]
    assert main([*words, "--partial"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert out.read_bytes() == b"older"
    assert len(list((tmp_path / "out.zip.parts").glob("*.png"))) == 2
    assert main([*words, "--partial"]) == 0
    assert len(seen) == 3 + 2
    resumed = out.read_bytes()
    assert main([*words, "--partial"]) == 0
    assert out.read_bytes() == resumed


def test_parts_of_other_options_are_not_used(run: Path, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    submit_cityscapes(run, root, out, partial=True)
    expected = read_zip(out)
    parts = tmp_path / "out.zip.parts"
    parts.mkdir()
    Image.new("L", (64, 32), 7).save(parts / f"{NAMES[0]}_pred.png")
    (parts / "made_from.json").write_text("{}")
    submit_cityscapes(run, root, out, partial=True)
    for name, label_ids in read_zip(out).items():
        np.testing.assert_array_equal(label_ids, expected[name])


def test_a_folder_of_something_else_is_left_alone(run: Path, root: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "out.zip.parts" / "thesis.tex"
    thesis.parent.mkdir()
    thesis.write_text("years of work")
    with pytest.raises(ConfigError, match="holds something else"):
        submit_cityscapes(run, root, tmp_path / "out.zip", partial=True)
    assert thesis.read_text() == "years of work"


def test_progress_counts_all_images(run: Path, root: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    submit_cityscapes(
        run, root, tmp_path / "o.zip", partial=True, on_progress=lambda *n: told.append(n)
    )
    assert told == [(number, 4) for number in range(5)]


def test_another_number_or_size_of_images_is_refused(
    run: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="has 4 test images, but the server takes exactly 1525"):
        submit_cityscapes(run, root, tmp_path / "out.zip")
    monkeypatch.setattr(submission, "SIZE", (1024, 2048))
    with pytest.raises(DataError, match="is 64 x 32 pixels, but the server takes 2048 x 1024"):
        submit_cityscapes(run, root, tmp_path / "out.zip", partial=True)
    assert not (tmp_path / "out.zip").exists()
    with pytest.raises(DataError, match="has no images leftImg8bit/test"):
        submit_cityscapes(run, tmp_path / "nowhere", tmp_path / "out.zip")


def test_a_network_of_other_classes_and_another_file_are_refused(
    run: Path, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"out\.tar is no zip file"):
        submit_cityscapes(run, root, tmp_path / "out.tar")
    model = create_model("fpn", encoder_name="tu-test_resnet", classes=2)
    save_pretrained(model, tmp_path / "two", LabelSet(("a", "b"), ((0, 0, 0), (9, 9, 9))))
    with pytest.raises(ConfigError, match="does not tell the 19 classes"):
        submit_cityscapes(tmp_path / "two", root, tmp_path / "out.zip", partial=True)
    save_pretrained(
        create_model("fpn", encoder_name="tu-test_resnet", classes=19), tmp_path / "nameless"
    )
    mend = r"segloom convert --class-names road sidewalk .* 'traffic light' .* bicycle`\.$"
    with pytest.raises(ConfigError, match=mend):
        submit_cityscapes(tmp_path / "nameless", root, tmp_path / "out.zip", partial=True)


@pytest.mark.parametrize(
    ("name", "head"),
    [("sfnet_res18_full", "head.conv_last.1."), ("fenet_res18_full", "conv_last.3.")],
)
def test_a_converted_checkpoint_of_the_programs_is_submitted(
    recorded: Callable[[str], Recording], root: Path, tmp_path: Path, name: str, head: str
) -> None:
    sizes = dict(recorded(name).json("meta.state_keys"))
    out, file = tmp_path / "out.zip", tmp_path / "weights.pth"
    torch.save({key: seeded(key, size) for key, size in sizes.items()}, file)
    assert main(["convert", str(file), "--out", str(tmp_path / "model")]) == 0
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert tuple(config["_segloom"]["labels"]["classes"]) == CITYSCAPES.classes
    words = ["submit", "cityscapes", str(tmp_path / "model"), f"--data.root={root}"]
    assert main([*words, "--out", str(out), "--partial"]) == 0
    assert len(read_zip(out)) == 4

    sizes |= {key: [11, *size[1:]] for key, size in sizes.items() if key.startswith(head)}
    torch.save({key: seeded(key, size) for key, size in sizes.items()}, file)
    assert main(["convert", str(file), "--out", str(tmp_path / "eleven")]) == 0
    with pytest.raises(ConfigError, match=r"trained with the recipe cityscapes\.$"):
        submit_cityscapes(tmp_path / "eleven", root, out, partial=True)


def test_a_folder_that_cannot_be_written_to_is_one_sentence(
    run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out.zip"
    words = ["submit", "cityscapes", str(run), f"--data.root={root}", "--out", str(out)]
    assert main([*words, "--partial"]) == 2
    assert "free space there or choose another folder" in capsys.readouterr().err
