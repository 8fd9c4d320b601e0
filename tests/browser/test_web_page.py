"""The page that `eightbit bundle --web` writes, used as a user would use it."""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FileChooser, expect
from tests.browser.conftest import PHONE, SCREENSHOTS, check_accessibility
from tests.browser.web_sites import HOSTILE, LABELS, PREPROCESSING, Site, Visit, encoded, visit

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import cropped_pixels
from eightbit.quantize.photos import synthetic_picture

CAMERA = (
    *("--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream"),
    *("--use-fake-ui-for-media-stream", "--host-resolver-rules=MAP page.test 127.0.0.1"),
)

DROP = """([text, name, type, event]) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const how = { bubbles: true, cancelable: true };
  const happened = event === "paste"
    ? new ClipboardEvent(event, { ...how, clipboardData: data })
    : new DragEvent(event, { ...how, dataTransfer: data });
  document.getElementById("drop").dispatchEvent(happened);
  return happened.defaultPrevented;
}"""


@pytest.fixture(scope="module")
def here(browser: Browser, site: Site) -> Iterator[Visit]:
    """One tab for all tests that leave it usable."""
    with visit(browser, site.folder, viewport={"width": 1280, "height": 900}) as there:
        there.ready().offline()
        yield there
        assert there.complaints == []
        assert [
            url for url in there.requests if not url.startswith(("blob:", there.server.url))
        ] == []
        assert any(url.endswith("model.int8.onnx") for url in there.requests)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    synthetic_picture(90, 61).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def expected_rows(model: Path, photo: Path) -> list[tuple[str, str]]:
    """Label and probability of the five likeliest classes, as the desktop finds them."""
    pixels = cropped_pixels(decode_image(photo.read_bytes()), PREPROCESSING)
    logits = OnnxRunner(model, 1)(feed_of(read_metadata(model)).of_pixels(pixels[None]))[0]
    powers = np.exp(logits.astype(np.float64) - logits.max())
    shares = 100 * powers / powers.sum()
    order = np.argsort(-logits, kind="stable")[:5]
    return [(LABELS[index], shown(shares[index])) for index in order]


def shown(percents: float) -> str:
    if 99.95 < percents < 100:
        return "> 99.9 %"
    return "< 0.1 %" if percents < 0.05 else f"{percents:.1f} %"


def test_a_chosen_file_is_answered_by_both_models(here: Visit, site: Site, photo: Path) -> None:
    said = here.choose(photo)
    columns = here.page.locator(".answer")
    expect(columns).to_have_count(2)
    for index, (name, model) in enumerate((("INT8", "int8"), ("Float", "fp32"))):
        column = columns.nth(index)
        expect(column.get_by_role("heading")).to_have_text(name)
        rows = [
            (row.locator(".label").inner_text(), row.locator(".share").inner_text())
            for row in column.get_by_role("listitem").all()
        ]
        expected = expected_rows(site.bundle / f"model.{model}.onnx", photo)
        assert rows == expected
        if name == "INT8":
            assert said == ", ".join(expected[0])
    expect(here.page.locator("#status .detail")).to_contain_text("last bits")
    assert "INT8 inference" in here.page.inner_text("#times")
    assert "90 \u00d7 61" in here.page.inner_text("#times")
    assert here.page.locator("#picture").get_attribute("alt") == "photo.png"
    assert here.page.locator("img[src=x]").count() == 0  # labels are texts


def test_the_bars_are_as_long_as_the_probabilities(here: Visit) -> None:
    here.sample()
    widths = here.run(
        """() => Array.from(document.querySelectorAll(".answer.int8 li"), (row) => [
          row.querySelector(".share").textContent,
          row.querySelector(".bar").getBoundingClientRect().width /
            row.querySelector(".track").getBoundingClientRect().width,
        ])"""
    )
    for share, width in widths:
        percents = float(share.replace("<", "").replace(">", "").replace("%", ""))
        assert width == pytest.approx(percents / 100, abs=0.006)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(here: Visit, photo: Path, event: str) -> None:
    here.page.evaluate("document.getElementById('status').textContent = ''")
    content = encoded(np.frombuffer(photo.read_bytes(), np.uint8))
    handled = here.run(DROP, [content, f"{event}.png", "image/png", event])
    assert here.answer().startswith(HOSTILE)
    assert handled or event == "paste"  # else the browser would leave the page for the picture
    assert here.page.locator("#picture").get_attribute("alt") == f"{event}.png"


def test_the_self_test_passes_with_identical_pixels(here: Visit) -> None:
    here.page.click("#run-self-test")
    expect(here.page.locator("#verdict")).to_have_text(
        "Passed: 3 of 3 pictures became identical pixels, and the largest difference of a logit "
        "is 0 last bits."
    )
    expect(here.page.locator("#findings tbody tr")).to_have_count(3)


def test_the_keyboard_is_enough(here: Visit) -> None:
    """The Tab key reaches everything in order, what has the focus shows it, Enter does it."""
    page = here.page
    choosers: list[FileChooser] = []

    def note(chooser: FileChooser) -> None:
        choosers.append(chooser)

    page.on("filechooser", note)
    page.reload()  # so that it begins at the top
    here.ready()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => [document.activeElement.innerText,
                      getComputedStyle(document.activeElement).outlineStyle]"""
        )
        assert outline == "solid", name
        reached.append(name)
        if name == "Try a sample":
            page.keyboard.press("Enter")
            here.answer()
        if name == "Choose a picture":
            page.keyboard.press("Enter")
            for _ in range(200):
                page.wait_for_timeout(0 if choosers else 100)
    assert len(choosers) == 1
    page.remove_listener("filechooser", note)
    assert reached == [
        *("Skip to the content", "Choose a picture", "Use the camera", "Try a sample"),
        "Run the self-test",
    ]


def test_it_is_accessible_in_light_and_dark_and_fits_a_phone(here: Visit) -> None:
    page = here.page
    here.sample()
    page.click("#run-self-test")
    page.locator("#verdict").wait_for()
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        check_accessibility(page)
        page.screenshot(path=SCREENSHOTS / f"web-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": PHONE, "height": 800})
    page.screenshot(path=SCREENSHOTS / "web-phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    page.set_viewport_size({"width": 1280, "height": 900})
    headings = page.get_by_role("heading").all_inner_texts()
    assert headings[1:3] == ["Classify a picture", "INT8"]
    assert page.get_by_role("heading", level=1).count() == 1


def test_what_a_report_says_is_on_the_page_but_not_its_latency(here: Visit) -> None:
    labels = here.page.locator(".tiles dt").all_inner_texts()
    assert labels == ["Top-1 accuracy", "Top-1 drop", "Size", "Fidelity of the logits", "Input"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "This file is empty."),
        (b"no picture", "This file is not a picture that your browser can read."),
    ],
    ids=["empty", "text"],
)
def test_a_file_that_is_no_picture_is_told_in_a_sentence(
    here: Visit, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "notes.txt").write_bytes(content)
    here.page.set_input_files("#file", tmp_path / "notes.txt")
    assert here.problem() == said
    expect(here.page.locator("#answers")).to_be_hidden()
    here.sample()  # and nothing else is wrong afterwards
    expect(here.page.locator("#problem")).to_be_hidden()


def test_a_broken_self_test_fails_and_says_how(
    browser: Browser, pixel_site: Site, tmp_path: Path
) -> None:
    folder = shutil.copytree(pixel_site.folder, tmp_path / "site")
    document = json.loads((folder / "self_test.json").read_text())
    first, second, _ = document["images"]
    first["logits"][0] += 3 * document["last_bit"]
    second["pixels_sha256"] = "0" * 64
    (folder / "self_test.json").write_text(json.dumps(document))
    with visit(browser, folder) as there:
        there.ready()
        there.page.click("#run-self-test")
        verdict = there.page.locator("#verdict.bad")
        expect(verdict).to_have_text(
            "Failed: 2 of 3 pictures became identical pixels, and the largest difference of a "
            "logit is 3.00 last bits."
        )


@pytest.fixture(scope="module")
def camera_browser(browser: Browser) -> Iterator[Browser]:
    """One with a synthetic camera, for which page.test is a stranger's name of this machine."""
    started = browser.browser_type.launch(
        executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=CAMERA
    )
    yield started
    started.close()


def test_the_camera_is_answered_frame_by_frame(camera_browser: Browser, pixel_site: Site) -> None:
    with visit(camera_browser, pixel_site.folder, permissions=["camera"]) as there:
        there.ready()
        there.page.click("#camera")
        expect(there.page.locator("#times")).to_contain_text("frames per second")
        expect(there.page.locator(".answer li")).to_have_count(5)
        before = there.page.inner_text("#times")
        expect(there.page.locator("#times")).not_to_have_text(before)
        there.page.get_by_role("button", name="Stop the camera").click()
        expect(there.page.locator("#status")).to_have_text("The camera has stopped.")
        assert there.run("() => document.getElementById('video').srcObject === null")
        assert there.complaints == []


def test_without_https_it_still_classifies(camera_browser: Browser, pixel_site: Site) -> None:
    with visit(camera_browser, pixel_site.folder, host="page.test") as there:
        there.ready()
        expect(there.page.locator("#camera")).to_be_hidden()
        expect(there.page.locator("#offline")).to_contain_text("Without https")
        there.page.click("#run-self-test")
        expect(there.page.locator("#verdict")).to_contain_text("Passed: without https pixels are")


def test_transparent_pictures_are_classified_by_their_colours(here: Visit, tmp_path: Path) -> None:
    """Seen here in the pixels that the page shows; the rest is `test_web_arithmetic`."""
    clear = Image.new("RGBA", (40, 40), (10, 200, 30, 0))
    buffer = io.BytesIO()
    clear.save(buffer, "PNG")
    (tmp_path / "clear.png").write_bytes(buffer.getvalue())
    here.choose(tmp_path / "clear.png")
    colour = here.run(
        """() => Array.from(document.getElementById("pixels").getContext("2d")
                    .getImageData(9, 9, 1, 1).data)"""
    )
    assert colour == [10, 200, 30, 255]
