"""The page computes what the desktop computes: pixels, input and logits, to the bit."""

import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser
from tests.browser.web_sites import (
    ISOLATING,
    PREPROCESSING,
    Site,
    Visit,
    decoded,
    encoded,
    noise,
    visit,
)

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import cropped_pixels, normalised_images
from eightbit.models.spec import Interpolation, Preprocessing, Size, height_and_width
from eightbit.quantize.photos import synthetic_picture

BYTES = "const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));"
TEXT = """const text = (array) => {
  let s = "";
  for (const b of new Uint8Array(array.buffer)) s += String.fromCharCode(b);
  return btoa(s);
};"""

CROP = f"""async (cases) => {{
  {BYTES} {TEXT}
  const {{ croppedPixels }} = await import("./preprocessing.js");
  return cases.map(({{ data, ...rest }}) => text(croppedPixels(
    {{ ...rest, data: new Uint8ClampedArray(bytes(data)) }}, rest)));
}}"""

INPUT = f"""async ([pixels, preprocessing, input]) => {{
  {BYTES} {TEXT}
  const {{ toInput }} = await import("./preprocessing.js");
  const {{ data, dims }} = toInput(bytes(pixels), preprocessing, input);
  return [text(data), dims];
}}"""

ANSWER = f"""async (pictures) => {{
  {BYTES}
  const {{ Engine }} = await import("./engine.js");
  const {{ fetchJson }} = await import("./fetching.js");
  const engine = new Engine();
  const {{ threads }} = await engine.load(await fetchJson("model.json"));
  const logits = [];
  for (const pixels of pictures) {{
    const answers = await engine.answer(bytes(pixels));
    logits.push(Object.fromEntries(
      Object.entries(answers).map(([name, answer]) => [name, Array.from(answer.logits)])));
  }}
  engine.worker.terminate();
  return {{ threads, logits }};
}}"""

DECODE = f"""async (files) => {{
  {BYTES} {TEXT}
  const {{ decode }} = await import("./decoding.js");
  const found = [];
  for (const file of files) {{
    const {{ width, height, data }} = await decode(new Blob([bytes(file)]));
    found.push([width, height, text(data)]);
  }}
  return found;
}}"""


BEST = """async (cases) => {
  const { agree, best } = await import("./answers.js");
  return cases.map(([logits, head]) => [
    best(Float32Array.from(logits), 5, head).map(({ index, chosen }) => [index, chosen]),
    agree(Float32Array.from(logits), Float32Array.from(logits, (logit) => -logit), head),
  ]);
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, site: Site) -> Iterator[Visit]:
    """One tab for all questions that leave it as it was."""
    with visit(browser, site.folder) as there:
        yield there.ready()
        assert there.complaints == []


# Up and down, odd and even, narrow, one pixel, equal; crops that cut and that need black around.
SIZES = [
    *[(w, h, 36, 32) for w, h in ((500, 375), (37, 41), (36, 36), (1, 1), (1, 9), (200, 3))],
    *[(w, h, 64, 63) for w, h in ((64, 64), (65, 64), (63, 90), (301, 17), (128, 129))],
    *[(w, h, 33, 40) for w, h in ((33, 33), (34, 100), (100, 34), (7, 5))],
    *[(w, h, 224, 224) for w, h in ((500, 333), (225, 224), (99, 640))],
    *[(w, h, 20, 61) for w, h in ((30, 90), (21, 21), (1000, 10))],
    (256, 300, 256, 224),
    (3, 2, 1, 1),
    (700, 451, 232, 224),
    *[(w, h, (36, 50), (32, 48)) for w, h in ((500, 375), (30, 80), (50, 36), (1, 1), (7, 5))],
    # Halves, which are rounded to even.
    *[(w, h, (5, 1), (5, 3)) for w, h in ((4, 10), (12, 10), (28, 10))],
    *[(w, h, (1, 5), 8) for w, h in ((10, 4), (10, 12))],
    (300, 200, 64, (40, 90)),
    (300, 200, (40, 90), 64),
]


def test_resizing_is_pillows_to_the_bit(page: Visit) -> None:
    rng = np.random.default_rng(1)
    drawn = [tuple(int(n) for n in rng.integers(1, 90, 4)) for _ in range(120)]
    pairs = rng.integers(1, 90, (60, 6)).tolist()
    drawn += [(w, h, (a, b), (c, d)) for w, h, a, b, c, d in pairs]
    cases, expected = [], []
    for seed, (width, height, resize, crop) in enumerate([*SIZES, *drawn]):
        kernel, squash = list(Interpolation)[seed % 2], seed % 3 == 0
        longest = max(height_and_width(resize))
        if not squash and longest * max(width, height) / min(width, height) > 20_000:
            continue
        image = noise(width, height, seed)
        data = encoded(np.asarray(image.convert("RGBA")))
        cases.append(
            {
                "width": width,
                "height": height,
                "resize": resize,
                "crop": crop,
                "interpolation": kernel,
                "squash": squash,
                "data": data,
            }
        )
        how = Preprocessing(resize=resize, crop=crop, interpolation=kernel, squash=squash)
        expected.append(cropped_pixels(image, how))
    assert len(cases) > 100
    for case, found, pixels in zip(cases, page.run(CROP, cases), expected, strict=True):
        case.pop("data")
        assert np.array_equal(decoded(found, np.uint8).reshape(pixels.shape), pixels), case


def test_a_picture_that_would_fill_the_memory_is_refused(page: Visit) -> None:
    script = """async () => {
      const { resizedSize } = await import("./preprocessing.js");
      try { return resizedSize(30000, 1, 224, false); } catch (error) { return error.message; }
    }"""
    assert page.run(script) == (
        "The picture is too narrow: 30000 x 1 pixels would become 6720000 x 224."
    )


@pytest.mark.parametrize("crop", [16, (8, 32)])
@pytest.mark.parametrize("name", ["float32", "uint8", "uint8-nhwc"])
def test_the_input_is_the_desktops_to_the_bit(page: Visit, name: str, crop: Size) -> None:
    """Every value of a pixel in every channel, in every format."""
    how = Preprocessing(resize=16, crop=crop, mean=(0.485, 0.1, 0.9), std=(0.229, 1.7, 0.01))
    pixels = np.stack([np.arange(256).reshape(how.crop_size)] * 3, axis=-1).astype(np.uint8)
    pixels[..., 1] = pixels[::-1, ::-1, 1]
    dtype, layout = ("float32", "NCHW") if name == "float32" else ("uint8", name[6:].upper())
    format = {"name": name, "dtype": dtype, "layout": layout or "NCHW"}
    text, dims = page.run(INPUT, [encoded(pixels), how.model_dump(mode="json"), format])
    if name == "float32":
        expected = normalised_images(pixels[None], how)
    else:
        expected = pixels[None] if layout == "NHWC" else pixels.transpose(2, 0, 1)[None]
    assert tuple(dims) == expected.shape
    found = decoded(text, expected.dtype).reshape(expected.shape)
    assert np.array_equal(found.view(np.uint8), np.ascontiguousarray(expected).view(np.uint8))


@pytest.mark.parametrize("kind", ["float32", "uint8-nhwc", "several threads"])
def test_from_identical_pixels_come_identical_logits(
    browser: Browser, site: Site, pixel_site: Site, kind: str
) -> None:
    """Two last bits are allowed to them; none is needed."""
    chosen = pixel_site if kind == "uint8-nhwc" else site
    headers = ISOLATING if kind == "several threads" else {}
    crop = PREPROCESSING.crop
    pictures = [np.asarray(synthetic_picture(crop, crop, seed)) for seed in range(6)]
    pictures += [np.asarray(noise(crop, crop)), np.zeros((crop, crop, 3), np.uint8)]
    with visit(browser, chosen.folder, headers=headers) as there:
        found = there.run(ANSWER, [encoded(picture) for picture in pictures])
        assert there.complaints == []
    assert (found["threads"] > 1) == (kind == "several threads")
    last_bit = json.loads((chosen.folder / "model.json").read_text())["last_bit"]
    names = {"int8": "model.int8.onnx", "fp32": "model.fp32.onnx"}
    assert (found["logits"][0].keys() == names.keys()) == (chosen is site)
    for precision in found["logits"][0]:
        path = chosen.bundle / names[precision]
        expected = OnnxRunner(path, 1)(feed_of(read_metadata(path)).of_pixels(np.stack(pictures)))
        answers = np.array([answer[precision] for answer in found["logits"]], np.float32)
        assert np.abs(answers - expected).max() < last_bit / 2
        assert np.ptp(expected) > 20 * last_bit  # else anything would be close


def _file(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _rgba() -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (33, 47, 4), dtype=np.uint8))


def _turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _file(noise(21, 34), "PNG", exif=exif.tobytes())


LOSSLESS = {
    "PNG": lambda: _file(noise(61, 47), "PNG"),
    "transparent PNG": lambda: _file(_rgba(), "PNG"),
    "transparent WebP": lambda: _file(_rgba(), "WEBP", lossless=True, exact=True),
    "grey PNG": lambda: _file(noise(61, 47).convert("L"), "PNG"),
    "PNG of one bit": lambda: _file(noise(61, 47).convert("1"), "PNG"),
    "PNG with a palette": lambda: _file(noise(61, 47).convert("P"), "PNG"),
    "PNG with another gamma": lambda: _file(noise(61, 47), "PNG", gamma=0.9),
    "GIF": lambda: _file(noise(61, 47).quantize(64), "GIF"),
    "BMP": lambda: _file(noise(61, 47), "BMP"),
    **{f"PNG of orientation {way}": lambda way=way: _turned(way) for way in range(1, 9)},
}


def test_lossless_files_become_the_desktops_pixels(page: Visit) -> None:
    files = {name: make() for name, make in LOSSLESS.items()}
    texts = [encoded(np.frombuffer(data, np.uint8)) for data in files.values()]
    found = page.run(DECODE, texts)
    for (name, data), (width, height, text) in zip(files.items(), found, strict=True):
        expected = np.asarray(decode_image(data))
        assert (height, width, 3) == expected.shape, name
        assert np.array_equal(decoded(text, np.uint8).reshape(height, width, 4)[..., :3], expected)


def test_a_jpeg_is_upright_and_close(page: Visit) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = _file(synthetic_picture(90, 61), "JPEG", exif=exif.tobytes(), quality=90)
    ((width, height, text),) = page.run(DECODE, [encoded(np.frombuffer(data, np.uint8))])
    expected = np.asarray(decode_image(data)).astype(int)
    assert (width, height) == (61, 90)
    pixels = decoded(text, np.uint8).reshape(90, 61, 4)[..., :3]
    assert np.abs(pixels - expected).mean() < 2


def test_every_task_is_answered_by_its_own_rule(page: Visit) -> None:
    cases = [
        ([1.0, 3.0, 3.0], {"task": "single-label", "threshold": 0.5}),
        ([1.0], {"task": "binary", "threshold": 0.5}),
        ([1.0], {"task": "binary", "threshold": 0.8}),
        ([0.0, 2.0], {"task": "multi-label", "threshold": 0.5}),
        ([1.5, -2.0], {"task": "regression", "threshold": 0.5}),
    ]
    assert page.run(BEST, cases) == [
        [[[1, True], [2, False], [0, False]], False],
        [[[1, True], [0, False]], False],
        [[[0, True], [1, False]], True],
        [[[1, True], [0, False]], False],
        [[[0, False], [1, False]], True],
    ]
