"""A film comes back with its frames, their times and the colours of their classes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.onnx_files import LABELS, colour_logits, write_export

from segloom.cli.main import main
from segloom.errors import ConfigError, DataError
from segloom.labels.space import LabelSpace, space_of
from segloom.prediction import video
from segloom.prediction.video import Film, VideoOptions, is_live, is_video, predict_video
from segloom.types import LabelSet

av = pytest.importorskip("av")


class Colours:
    """Dark, bright or red, by the colour of a pixel alone."""

    labels: LabelSet = LABELS
    space: LabelSpace = space_of(LABELS)
    num_channels, takes_edges = 3, False

    def __init__(self, act: Callable[[], Any] = lambda: None) -> None:
        self.act = act

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.act()
        powers = np.exp(colour_logits(image))
        values: NDArray[np.float32] = powers / powers.sum(0)
        return values

    def label_map(self, image: NDArray[np.uint8]) -> NDArray[Any]:
        return self.space.decide(self.probabilities(image))


def frame(index: int, height: int, width: int) -> NDArray[np.uint8]:
    """Bright to the left of an edge that moves by a pixel a frame, dark to the right."""
    image = np.full((height, width, 3), 20, np.uint8)
    image[:, : 10 + 2 * index] = 230
    return image


def write_film(
    path: Path,
    count: int = 12,
    size: tuple[int, int] = (48, 64),
    times: Callable[[int], float] = lambda index: index / 10,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(count):
            picture = av.VideoFrame.from_ndarray(frame(index, *size), format="rgb24")
            picture.time_base, picture.pts = Fraction(1, 1000), round(1000 * times(index))
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def read_film(path: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    with av.open(str(path)) as container:
        frames = [(f.to_ndarray(format="rgb24"), f.time) for f in container.decode(video=0)]
    return [pixels for pixels, _ in frames], [seconds for _, seconds in frames]


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_every_frame_is_labelled_at_its_time(tmp_path: Path, size: tuple[int, int]) -> None:
    def times(index: int) -> float:
        return index / 10 + (1.0 if index > 5 else 0)  # a camera that paused

    source = write_film(tmp_path / "a.mp4", size=size, times=times)
    film = predict_video(Colours(), str(source), tmp_path / "b.mp4", VideoOptions(alpha=1.0))
    assert (film.frames, film.skipped, film.damaged, film.size) == (12, 0, 0, size)
    frames, seconds = read_film(tmp_path / "b.mp4")
    assert seconds == pytest.approx([times(index) for index in range(12)], abs=2e-3)
    dark, bright = (np.array(LABELS.palette[k]) for k in (0, 1))
    for index, pixels in enumerate(frames):
        assert pixels.shape == (48, 64, 3)  # even sides, as the format wants them
        edge = 10 + 2 * index
        middle = pixels[size[0] // 2].astype(int)
        assert np.abs(middle[3 : edge - 4] - bright).max() < 40
        assert np.abs(middle[edge + 4 : size[1] - 2] - dark).max() < 40
    assert not list(tmp_path.glob(".*"))


def test_smoothing_averages_probabilities_over_time(tmp_path: Path) -> None:
    class Flicker(Colours):
        count = 0

        def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
            Flicker.count += 1
            sure = 0.2 if Flicker.count == 6 else 0.9  # wrong once
            values = np.empty((3, *image.shape[:2]), np.float32)
            values[0], values[1], values[2] = sure, 1 - sure, 0
            return values

    source = write_film(tmp_path / "a.mp4")
    expected = {0.0: {5}, 0.5: set()}  # 0.5 * 0.9 + 0.5 * 0.2 = 0.55
    for smoothing, wrong in expected.items():
        Flicker.count = 0
        options = VideoOptions(alpha=1.0, smoothing=smoothing)
        predict_video(Flicker(), str(source), tmp_path / f"{smoothing}.mp4", options)
        frames, _ = read_film(tmp_path / f"{smoothing}.mp4")
        found = {k for k, pixels in enumerate(frames) if pixels[20, 30].astype(int).sum() > 300}
        assert found == wrong


def test_only_a_few_frames_wait_however_long_the_film_is(tmp_path: Path, monkeypatch) -> None:
    decoded: list[int] = []
    put = video._Line.put

    def counted(line: Any, item: Any) -> bool:
        decoded.append(1)
        return put(line, item)

    monkeypatch.setattr(video._Line, "put", counted)
    seen: list[int] = []
    source = write_film(tmp_path / "a.mp4", count=60)

    def look(film: Film) -> None:
        if film.frames == 1:
            time.sleep(0.5)  # the others could run ahead now
            seen.append(len(decoded))

    predict_video(Colours(), str(source), tmp_path / "b.mp4", on_frame=look)
    assert seen[0] <= 2 * video.WAITING + 4
    assert len(read_film(tmp_path / "b.mp4")[0]) == 60


def test_a_length_can_be_given(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", count=30)
    options = VideoOptions(seconds=1.0)
    film = predict_video(Colours(), str(source), tmp_path / "b.mp4", options)
    assert film.frames == 10


def test_what_comes_live_passes_frames_over_and_ends_in_order(tmp_path: Path, monkeypatch) -> None:
    source = write_film(tmp_path / "a.mp4", count=60)
    monkeypatch.setattr(video, "is_live", lambda name: True)

    def stop(film: Film) -> None:
        if film.skipped:
            raise KeyboardInterrupt
        time.sleep(0.2)  # longer than a frame takes to be decoded, on a busy machine too

    film = predict_video(Colours(), str(source), tmp_path / "b.mp4", on_frame=stop)
    assert film.skipped > 0
    assert len(read_film(tmp_path / "b.mp4")[0]) == film.frames < 60


def test_a_stopped_film_leaves_no_file_and_no_thread(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", count=60)

    def stop(film: Film) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        predict_video(Colours(), str(source), tmp_path / "b.mp4", on_frame=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]
    assert threading.active_count() == before


def test_a_fault_of_the_network_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4")

    def fail() -> None:
        raise DataError("no luck")

    with pytest.raises(DataError, match="no luck"):
        predict_video(Colours(fail), str(source), tmp_path / "b.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_film_that_is_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    content = write_film(tmp_path / "a.ts", count=60).read_bytes()
    (tmp_path / "cut.ts").write_bytes(content[: len(content) * 2 // 3])
    film = predict_video(Colours(), str(tmp_path / "cut.ts"), tmp_path / "b.mp4")
    assert 10 < film.frames < 60


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.mp4", b"no film", "cannot be opened as a film"),
        ("a.mp4", b"", "cannot be opened as a film"),
        ("missing.mp4", None, "does not exist"),
    ],
)
def test_what_is_no_film_is_told(
    tmp_path: Path, name: str, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        predict_video(Colours(), str(tmp_path / name), tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_a_camera_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"camera 97 .*does not exist"):
        predict_video(Colours(), "97", tmp_path / "b.mp4")


def test_places_and_numbers_that_cannot_be_are_refused(tmp_path: Path) -> None:
    source = write_film(tmp_path / "a.mp4", count=2)
    with pytest.raises(ConfigError, match=r"films are written as \.mp4, \.mkv, \.mov"):
        predict_video(Colours(), str(source), tmp_path / "b.gif")
    with pytest.raises(ConfigError, match="is the film that is read"):
        predict_video(Colours(), str(source), source)
    with pytest.raises(ConfigError, match=r"--smoothing is 1\.0"):
        VideoOptions(smoothing=1.0)
    with pytest.raises(ConfigError, match=r"--seconds is 0\.0"):
        VideoOptions(seconds=0.0)


def test_sources_are_told_apart() -> None:
    assert is_video("clip.MP4")
    assert is_video("rtsp://camera/1")
    assert is_video("0")
    assert not is_video("street.jpg")
    assert not is_video("https://example.com/street.jpg")  # refused as an address
    assert not is_video("frames")
    assert [is_live(name) for name in ("0", "rtsp://a", "a.mp4")] == [True, True, False]


def test_the_command_labels_a_film_with_an_exported_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, model = write_film(tmp_path / "a.mp4"), write_export(tmp_path / "model")
    words = ["predict", str(model), str(source), "--out", str(tmp_path / "b.mp4")]
    assert main([*words, "--smoothing", "0.5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("12 frames of 64x48 in ")
    assert len(read_film(tmp_path / "b.mp4")[0]) == 12
    assert main(words) == 2
    assert "is there already; add --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--seconds", "0.5", "--json"]) == 0
    assert '"frames": 5' in capsys.readouterr().out
    assert main([*words, "--overwrite", "--montage"]) == 2
    assert "--montage is of images" in capsys.readouterr().err
    assert main(["predict", str(model), str(source), str(source)]) == 2
    assert "one film at a time" in capsys.readouterr().err
    folder = tmp_path / "results"
    assert main(["predict", str(model), str(source), "--out", str(folder)]) == 0
    assert (folder / "a_overlay.mp4").is_file()
