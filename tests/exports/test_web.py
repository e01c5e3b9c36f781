"""A network in one HTML file: opened from a folder, it answers as ONNX Runtime does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.onnx_files import write_export
from support.servers import picture, pixels, png

from segloom.errors import ConfigError, SegloomError
from segloom.exports import web
from segloom.labels.palette import default_palette
from segloom.labels.polygons import trace_polygons
from segloom.prediction.annotations import feature_collection
from segloom.runtime import Description, load
from segloom.scenes import make_scene
from segloom.types import LabelSet

NAMES = ("</script><script>alert(1)</script>", "bright & <b>bold</b>", "red")
IMAGES = (
    picture(37, 53),
    make_scene(0, "test", 0, size=(120, 160))[0],
    np.random.default_rng(0).integers(0, 256, (90, 131, 3), np.uint8),
)


@pytest.fixture(scope="module")
def ort_web() -> Path:
    """ONNX Runtime for browsers, as npm gives it; skipped where it cannot be had."""
    try:
        return web.find_runtime()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "hostile"
    return write_export(folder, LabelSet(NAMES, default_palette(3)))


@pytest.fixture(scope="module")
def page(browser: Any, exported: Path, ort_web: Path) -> Iterator[Any]:
    """The page, opened as a file, without a network."""
    path = web.write_web_page(exported, Description.read(exported), ort_web)
    with opened(browser, path) as page:
        yield page


@contextmanager
def opened(browser: Any, path: Path) -> Iterator[Any]:
    """Open a page; it may ask for nothing and raise nothing."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("request", lambda request: _check_own(request.url, path, problems))
    page.goto(path.as_uri())
    page.locator("#first option").first.wait_for(state="attached")
    yield page
    context.close()
    assert problems == []


def _check_own(url: str, path: Path, problems: list[str]) -> None:
    if url != path.as_uri() and not url.startswith(("blob:", "data:")):
        problems.append(url)


@pytest.mark.parametrize("number", range(len(IMAGES)))
def test_label_maps_are_those_of_onnx_runtime(
    page: Any, exported: Path, tmp_path: Path, number: int
) -> None:
    image, model = IMAGES[number], load(exported)
    buffer = {"name": f"{number}.png", "mimeType": "image/png", "buffer": png(image)}
    page.set_input_files("#file", buffer)
    height, width = image.shape[:2]
    page.locator("#facts", has_text=f"{width} × {height} pixels").wait_for()
    with page.expect_download() as waiting:
        page.locator("[data-output=label]").click()
    assert waiting.value.suggested_filename == f"{number}_label.png"
    waiting.value.save_as(path := tmp_path / "labels.png")
    expected = model.label_map(image)
    found = pixels(path.read_bytes())
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    page.locator("#overlay").focus()
    page.keyboard.press("Shift+ArrowRight")
    first, second = page.locator("#reading").inner_text().splitlines()
    x, y = (int(part.split()[1]) for part in first.split(","))
    sure = model.probabilities(image)[:, y, x].max()
    name, _, percent = second.rpartition(", ")
    assert name == NAMES[expected[y, x]]
    assert abs(int(percent.removesuffix(" %")) - 100 * sure) <= 0.8  # 0 to 255, then per cent


@pytest.mark.parametrize(
    ("old", "new", "device"),
    [
        ("gpuTime < wasmTime", "gpuTime < Infinity", "WebGPU"),  # the processor plays the card
        ("gpuTime < wasmTime", "gpuTime < 0", "WebAssembly"),
        ("value !== found[pixel]", "pixel === 0", "WebAssembly"),  # one label is another
    ],
)
def test_webgpu_computes_if_it_gives_the_same_labels_sooner(
    browser: Any, exported: Path, ort_web: Path, tmp_path: Path, old: str, new: str, device: str
) -> None:
    text = web.write_web_page(exported, Description.read(exported), ort_web).read_text()
    assert text.count(old) == 1
    (path := tmp_path / "page.html").write_text(text.replace(old, new))
    with opened(browser, path) as page:
        if not page.evaluate("navigator.gpu?.requestAdapter().then(Boolean)"):
            pytest.skip("this browser has no WebGPU")
        for number, expected in enumerate(("WebAssembly", device)):
            buffer = {"name": "a.png", "mimeType": "image/png", "buffer": png(IMAGES[number])}
            page.set_input_files("#file", buffer)
            height, width = IMAGES[number].shape[:2]
            page.locator("#facts", has_text=f"{width} × {height} pixels, computed by ").wait_for()
            assert page.locator("#facts").inner_text().endswith(expected)
        with page.expect_download() as waiting:
            page.locator("[data-output=label]").click()
        waiting.value.save_as(labels := tmp_path / "labels.png")
        expected = load(exported).label_map(IMAGES[1])
        np.testing.assert_array_equal(pixels(labels.read_bytes()), expected)


def test_polygons_are_those_of_python(page: Any, exported: Path, tmp_path: Path) -> None:
    image, model = IMAGES[2], load(exported)
    buffer = {"name": "noise.png", "mimeType": "image/png", "buffer": png(image)}
    page.set_input_files("#file", buffer)
    page.locator("#facts", has_text="131 × 90 pixels").wait_for()
    with page.expect_download() as waiting:
        page.locator("[data-output=polygons]").click()
    assert waiting.value.suggested_filename == "noise_polygons.geojson"
    waiting.value.save_as(path := tmp_path / "polygons.geojson")
    labels = model.label_map(image)
    expected = feature_collection(
        (name, polygon) for k, name in enumerate(NAMES) for polygon in trace_polygons(labels == k)
    )
    assert any(len(f["geometry"]["coordinates"]) > 1 for f in expected["features"])  # holes
    assert json.loads(path.read_text()) == json.loads(json.dumps(expected))


def test_what_is_no_photograph_is_told(page: Any) -> None:
    wrong = {"name": "a.png", "mimeType": "image/png", "buffer": b"no image"}
    page.set_input_files("#file", wrong)
    page.locator("#status.is-bad").wait_for()
    assert "no image that the browser knows" in page.locator("#status").inner_text()


def test_the_page_allows_no_connection(exported: Path, tmp_path: Path) -> None:
    runtime = tmp_path / "dist"
    runtime.mkdir()
    for name in (web.BUNDLE, web.WASM):
        (runtime / name).write_bytes(b"1")
    path = web.write_web_page(exported, Description.read(exported), web.find_runtime(tmp_path))
    text = path.read_text()
    assert "default-src 'none'" in text
    assert "connect-src" not in text
    assert "alert(1)</script>" not in text  # the name of a class ends no element
    assert 'src="' not in text


def test_a_network_of_other_channels_is_refused(exported: Path, tmp_path: Path) -> None:
    described = SimpleNamespace(num_channels=4)
    with pytest.raises(SegloomError, match="this network takes 4"):
        web.write_web_page(exported, described, tmp_path)  # type: ignore[arg-type]


def test_a_folder_without_the_runtime_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lacks ort\.webgpu\.bundle\.min\.mjs"):
        web.find_runtime(tmp_path)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError("npm"), "install npm, or unpack the package yourself"),
        (subprocess.CalledProcessError(1, "npm", stderr="npm error 404\n"), r"\(npm error 404\)"),
        (subprocess.TimeoutExpired("npm", 600), "npm could not fetch"),
    ],
)
def test_what_npm_cannot_fetch_is_told_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    def run(*words: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(web, "CACHE", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ConfigError, match=sentence) as raised:
        web.find_runtime()
    assert "--ort-web" in str(raised.value)
