"""The page in a real browser: what is seen is what the server answered."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from support.servers import LABELS, a_model, by_brightness, picture, pixels, png, running

from segloom.serve.models import Model
from segloom.types import LabelSet

IMAGE = picture(120, 160)
TRUE = by_brightness(IMAGE).label_map


def darker(image: np.ndarray) -> Any:
    """Calls everything dark."""
    answer = by_brightness(image)
    answer.label_map = np.zeros_like(answer.label_map)
    return answer


def overlapping(image: np.ndarray) -> Any:
    answer = by_brightness(image)
    bright, red = image.mean(2) > 100, answer.label_map == 2
    answer.probabilities = np.stack([bright, red | bright]).astype(np.float32) * 0.75
    answer.label_map = (bright | (red | bright) << 1).astype(np.uint8)
    return answer


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    both = LabelSet(("<b>bright</b>", "warm"), ((250, 0, 0), (0, 0, 250)), is_multilabel=True)
    models = [a_model(), Model("darker", LABELS, darker), Model("both", both, overlapping)]
    with running(models) as client:
        yield client


@pytest.fixture
def open_page(browser: Any, client: httpx.Client) -> Iterator[Callable[..., Any]]:
    """Open the page and a photograph; the test fails on any error or foreign request."""
    contexts, problems = [], []

    def open_one(
        image: bytes | None = None, name: str = "street.png", size: tuple[int, int] = (1280, 900)
    ) -> Any:
        width, height = size
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: _check_own(request.url, client, problems))
        page.goto(str(client.base_url))
        if image is not None:
            page.locator("#first option").first.wait_for(state="attached")
            show(page, image, name)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert problems == []


def _check_own(url: str, client: httpx.Client, problems: list[str]) -> None:
    if not url.startswith((str(client.base_url), "blob:", "data:")):
        problems.append(url)


def show(page: Any, image: bytes, name: str = "street.png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": image})
    page.locator("#legend td").first.wait_for()


def legend(page: Any) -> dict[str, list[str]]:
    rows = page.locator("#legend tbody tr").all()
    return {
        row.locator("th").inner_text().strip(): row.locator("td").all_inner_texts() for row in rows
    }


def seen(page: Any, canvas: str = "#painted-first") -> np.ndarray:
    """Read the pixels of a canvas, RGBA."""
    url = page.locator(canvas).evaluate("canvas => canvas.toDataURL()")
    return pixels(base64.b64decode(url.partition(",")[2]))


def test_overlay_and_legend_show_the_answer(open_page) -> None:
    page = open_page(png(IMAGE))
    counts = np.bincount(TRUE.ravel(), minlength=3) / TRUE.size
    expected = {n: [f"{100 * counts[k]:.1f} %"] for k, n in enumerate(LABELS.classes)}
    assert legend(page) == expected
    assert "160 × 120 pixels" in page.locator("#facts").inner_text()
    painted = seen(page)
    np.testing.assert_array_equal(painted[..., :3], np.array(LABELS.palette)[TRUE])
    assert (painted[..., 3] == 255).all()
    np.testing.assert_array_equal(seen(page, "#photograph")[..., :3], IMAGE)


def test_keys_read_class_and_confidence(open_page) -> None:
    page = open_page(png(IMAGE))
    page.locator("#overlay").focus()
    page.keyboard.press("ArrowRight")  # from the middle, one pixel and a bit
    text = page.locator("#reading").inner_text()
    x, y = map(int, re.findall(r"\d+", text)[:2])
    assert (x, y) == (81, 60)
    assert text.splitlines()[1] == "bright, 90 %"  # 230 / 255
    for _ in range(4):
        page.keyboard.press("Shift+ArrowUp")
        page.keyboard.press("Shift+ArrowLeft")
    assert page.locator("#reading").inner_text() == "x 29, y 8\ndark, 92 %"
    assert page.locator("#legend tr.is-here").inner_text().startswith("dark")
    assert page.locator("#tip").inner_text() == "dark, 92 %"


def test_the_pointer_reads_class_and_confidence(open_page) -> None:
    page = open_page(png(IMAGE))
    box = page.locator("#overlay").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.375)
    assert page.locator("#reading").inner_text() == "x 80, y 45\nred, 100 %"
    assert page.locator("#tip").is_visible()


def test_classes_hide_and_opacity_changes_by_keys(open_page) -> None:
    page = open_page(png(IMAGE))
    page.get_by_label("red").focus()
    page.keyboard.press("Space")
    np.testing.assert_array_equal(seen(page)[..., 3] == 0, TRUE == 2)
    page.locator("#opacity").focus()
    page.keyboard.press("End")
    assert page.locator("#percent").inner_text() == "100 %"
    assert page.locator("#painted-first").evaluate("canvas => canvas.style.opacity") == "1"


def test_two_models_meet_at_a_border_that_moves(open_page) -> None:
    page = open_page(png(IMAGE))
    page.select_option("#second", "darker")
    page.locator("#handle").wait_for()
    assert legend(page)["dark"] == [f"{100 * (TRUE == 0).mean():.1f} %", "100.0 %"]
    facts = page.locator("#facts").inner_text()
    assert (TRUE != 0).mean() == 0.5625
    assert "56.3 % of the pixels differ" in facts
    assert (seen(page, "#painted-second")[..., :3] == LABELS.palette[0]).all()
    handle, box = page.locator("#handle"), page.locator("#overlay").bounding_box()
    handle.focus()
    page.keyboard.press("ArrowLeft")
    assert handle.get_attribute("aria-valuenow") == "48"
    page.mouse.move(box["x"] + 0.48 * box["width"], box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 10)
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "25"
    clip = "canvas => getComputedStyle(canvas).clipPath"
    assert page.locator("#painted-first").evaluate(clip) == "inset(0px 75% 0px 0px)"
    assert page.locator("#painted-second").evaluate(clip) == "inset(0px 0px 0px 25%)"
    page.select_option("#second", "")
    handle.wait_for(state="hidden")
    assert page.locator("#painted-first").evaluate(clip) == "none"


@pytest.mark.parametrize("output", ["label", "overlay", "polygons"])
def test_downloads_are_the_answers_of_the_server(open_page, client, tmp_path, output: str) -> None:
    page = open_page(png(IMAGE))
    page.locator("#opacity").fill("30")
    with page.expect_download() as waiting:
        page.locator(f"[data-output={output}]").click()
    ending = "geojson" if output == "polygons" else "png"
    assert waiting.value.suggested_filename == f"street_{output}.{ending}"
    waiting.value.save_as(path := tmp_path / "file")
    parameters = {"output": output, "opacity": "0.3"}
    expected = client.post("/v1/segment", params=parameters, content=png(IMAGE)).content
    assert path.read_bytes() == expected


def test_classes_that_overlap_are_mixed_and_named_as_text(open_page) -> None:
    page = open_page(png(IMAGE))
    page.select_option("#first", "both")
    page.locator("#legend tbody tr", has_text="warm").wait_for()
    assert list(legend(page)) == ["warm", "<b>bright</b>"]
    bright, warm = TRUE == 1, TRUE != 0
    painted = seen(page)
    assert (painted[bright] == (125, 0, 125, 255)).all()
    assert (painted[warm & ~bright] == (0, 0, 250, 255)).all()
    assert (painted[~warm, 3] == 0).all()
    page.locator("#overlay").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#reading").inner_text().splitlines()[1] == "<b>bright</b>, warm, 75 %"


def test_a_photograph_that_lies_on_its_side_is_shown_upright(open_page, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turned by 90 degrees
    buffer = BytesIO()
    Image.fromarray(IMAGE).save(buffer, "JPEG", exif=exif, quality=100, subsampling=0)
    page = open_page(buffer.getvalue(), "phone.jpg")
    assert "120 × 160 pixels" in page.locator("#facts").inner_text()
    shown = seen(page, "#photograph")[..., :3].astype(int)
    assert np.abs(shown - np.rot90(IMAGE, -1)).max() < 40


def test_what_a_browser_cannot_read_is_shown_by_the_server(open_page) -> None:
    buffer = BytesIO()
    Image.fromarray(IMAGE).save(buffer, "TIFF")
    page = open_page(buffer.getvalue(), "scan.tif")
    np.testing.assert_array_equal(seen(page, "#photograph")[..., :3], IMAGE)


def test_what_is_no_photograph_is_told_and_the_last_one_stays(open_page) -> None:
    page = open_page(png(IMAGE))
    before = legend(page)
    text = {"name": "a.png", "mimeType": "image/png", "buffer": b"no image"}
    page.set_input_files("#file", text)
    page.locator("#status.is-bad").wait_for()
    assert "is not an image of a known format" in page.locator("#status").inner_text()
    assert legend(page) == before
    with page.expect_download() as waiting:
        page.locator("[data-output=label]").click()
    assert waiting.value.suggested_filename == "street_label.png"


def test_a_photograph_can_be_dropped(open_page) -> None:
    page = open_page()
    page.locator("#first option").first.wait_for(state="attached")
    page.evaluate(
        """(bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"}));
            document.body.dispatchEvent(
                new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        list(png(IMAGE)),
    )
    page.locator("#legend td").first.wait_for()
    assert set(legend(page)) == set(LABELS.classes)


def test_a_phone_shows_all_of_it_without_scrolling_sideways(open_page) -> None:
    page = open_page(png(IMAGE), size=(360, 740))
    page.select_option("#second", "darker")
    page.locator("#handle").wait_for()
    box = page.locator("#overlay").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.95, box["y"] + box["height"] * 0.9)
    assert page.locator("html").evaluate("page => page.scrollWidth") <= 360
    for button in page.locator("button:visible, select:visible").all():
        assert button.bounding_box()["height"] >= 44  # what a finger hits


def test_the_token_is_asked_for_on_the_page(browser: Any) -> None:
    with running([a_model()], token="sesame") as client:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.goto(str(client.base_url))
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        page.locator("#status.is-bad").wait_for()
        page.locator("#token").fill("sesame")
        page.keyboard.press("Enter")
        page.locator("#access").wait_for(state="hidden")
        show(page, png(IMAGE))
        assert json.dumps(legend(page)).count("%") == 3
        context.close()


def test_the_page_runs_no_script_but_its_own(client: httpx.Client) -> None:
    for path in ("/", "/page.js", "/server.js", "/page.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "default-src 'none'" in policy
