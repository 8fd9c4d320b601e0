"""Classify photos with the INT8 model beside this file: `python classify.py photo.jpg`.

It needs onnxruntime, numpy and pillow; the preprocessing is in the model's metadata. With
`--self-test` it checks that this machine computes the same logits as the maker's.
"""

# /// script
# requires-python = ">=3.9"
# dependencies = ["numpy", "onnxruntime", "pillow"]
# ///

from __future__ import annotations

import argparse
import ctypes
import io
import json
import math
import os
import re
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn


def refuse(problem: str) -> NoReturn:
    """Exit with code 2 and one line on stderr."""
    line = visible(" ".join(problem.split()))
    if len(line) > 470:  # its beginning says where, its end what to do
        line = f"{line[:280]} ... {line[-185:]}"
    print(f"classify: {line}", file=sys.stderr)
    sys.exit(2)


def visible(text: object) -> str:
    """The text with unprintable characters escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


try:
    import numpy as np
    import onnxruntime as ort
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    TRANSPOSE, BILINEAR = Image.Transpose, Image.Resampling.BILINEAR
    KERNELS = {"bilinear": BILINEAR, "bicubic": Image.Resampling.BICUBIC}
except Exception as exc:  # packages too old, or that do not fit each other, raise all sorts
    install = "pip install -U onnxruntime numpy pillow"
    refuse(f"expected onnxruntime, numpy and pillow, found: {str(exc)[:300]}; {install}")

HERE = Path(__file__).parent  # a folder, or the archive itself: `python model.zip photo.jpg`
MODEL = "model.int8.onnx"
# Which Pillow decodes itself; AVIF since 11.3.
AVIF = ("AVIF",) if find_spec("PIL.AvifImagePlugin") else ()
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", *AVIF)
MAX_PIXELS = 100_000_000
MAX_BYTES = 64 * 2**20
TASKS = ("single-label", "binary", "multi-label", "regression")
UPRIGHT = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF orientation: transposition
ON_ITS_SIDE = (5, 6, 7, 8)
ORT = f"ONNX Runtime {ort.__version__}"
OTHERS = (AttributeError, RecursionError)  # which metadata of any shape can raise
AGAIN = "unpack the archive again, or pip install -U onnxruntime"
UPGRADE = "pip install -U onnxruntime, or export the model again"
NEWER = rf"\2 or lower, which is what {ORT} knows, found \1; {UPGRADE}"
REFUSALS = {  # what ONNX Runtime says of a model: what that means
    r"Opset (\d+) is under development.* till opset (\d+)": f"expected ONNX opset {NEWER}",
    r"IR version: (\d+), max supported IR version: (\d+)": f"expected ONNX IR version {NEWER}",
    r"^(?:.* failed:|\[\w+\] : \d+ : \w+ :)? ?(.{0,300})": rf"{ORT} cannot load it: \1; {AGAIN}",
}


def content(name: str) -> bytes:
    """A file beside this one, in the folder or in the archive; OSError if missing."""
    if not HERE.is_file():
        return (HERE / name).read_bytes()
    from zipfile import BadZipFile, ZipFile  # which checks the sums, as Python's importer does not

    try:
        with ZipFile(HERE) as archive:
            return archive.read(name)
    except KeyError as exc:
        raise FileNotFoundError(name) from exc
    except BadZipFile as exc:
        refuse(f"{HERE}: expected a whole archive, found a damaged one ({exc}); copy it again")


class Model:
    """The model: from RGB pixels, uint8 (H, W, 3), to logits, float32 (classes,)."""

    def __init__(self, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads  # 0: all cores
        options.log_severity_level = 4  # what is wrong is said once, by `refuse`
        path = HERE / MODEL
        try:
            source = str(path) if path.is_file() else content(MODEL)
            self.session = ort.InferenceSession(source, options, ["CPUExecutionProvider"])
        except OSError:
            refuse(f"{MODEL}: expected beside classify.py, found none; unpack the whole archive")
        except Exception as exc:  # onnxruntime's exceptions have no common base
            said = " ".join(str(exc).split()).rstrip(".")
            found = ((re.search(pattern, said), told) for pattern, told in REFUSALS.items())
            refuse(f"{MODEL}: {next(match.expand(told) for match, told in found if match)}")
        try:
            self.read(json.loads(self.session.get_modelmeta().custom_metadata_map["eightbit"]))
        except (LookupError, TypeError, ValueError, ArithmeticError, *OTHERS) as exc:
            problem = f"found none or damaged ones ({type(exc).__name__}: {str(exc)[:200]})"
            refuse(f"{MODEL}: expected eightbit metadata, {problem}; make the bundle again")

    def read(self, metadata: Any) -> None:
        """Read the metadata; refuse a graph with another input."""
        if metadata["format_version"] != 1:
            found = str(metadata["format_version"])[:20]
            version = f"expected metadata of format_version 1, found {found}"
            refuse(f"{MODEL}: {version}; use the classify.py that came with it")
        spec = metadata["spec"]
        self.classes, how = spec["num_classes"], spec["preprocessing"]
        # A single output that does not say more decides between two classes.
        self.task = spec.get("task", "binary" if self.classes == 1 else "single-label")
        threshold = float(spec.get("threshold", 0.5))
        if self.task not in TASKS or not 0 < threshold < 1:
            raise ValueError(f"one of the tasks {', '.join(TASKS)} was expected")
        self.threshold = math.log(threshold / (1 - threshold))
        resize, crop = how["resize"], how["crop"]
        height, width = both(crop)
        kernel = KERNELS[how.get("interpolation", "bilinear")]
        squash = {True: True, False: False}[how.get("squash", False)]
        scaled = {"scaled": True, "exact": False}[how.get("decode", "exact")]
        self.how = (resize, crop, kernel, squash, scaled)  # of `pixels_of`
        self.mean, self.std = (np.array(how[key], np.float32) for key in ("mean", "std"))
        taken = metadata.get("input", {})
        self.dtype, self.layout = taken.get("dtype", "float32"), taken.get("layout", "NCHW")
        kind = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[self.dtype]
        wanted = {"NCHW": [1, 3, height, width], "NHWC": [1, height, width, 3]}[self.layout]
        sides = (height, width, *both(resize))
        whole = all(type(n) is int for n in (self.classes, *sides))
        if not (whole and 1 <= self.classes <= 10**6 and 1 <= min(sides) <= max(sides) <= 8192):
            raise ValueError("1 to 10**6 classes and sides of 1 to 8192 pixels were expected")
        normal = np.stack([self.mean, self.std])
        if normal.shape != (2, 3) or not (np.isfinite(normal).all() and (self.std > 0).all()):
            raise ValueError("mean and positive deviation of three channels were expected")
        inputs = [(one.type, one.shape) for one in self.session.get_inputs()]
        fits = len(inputs) == 1 and inputs[0][0] == kind and len(inputs[0][1]) == len(wanted)
        # A size that is free has a name in place of the number.
        if not fits or any(isinstance(n, int) and n != w for n, w in zip(inputs[0][1], wanted)):
            asked = f"expected one input {kind} {wanted} as its metadata says"
            refuse(f"{MODEL}: {asked}, found {str(inputs)[:200]}; do not trust this file")

    def decisions(self, logits: Any) -> list[int]:
        """The class of one image; with a threshold 1 for yes and 0 for no; none of a regression."""
        if self.task == "regression":
            return []
        if self.task == "single-label":
            return [int(logits.argmax())]
        return [int(logit > self.threshold) for logit in logits.tolist()]

    def lines(self, logits: Any, names: list[str]) -> list[str]:
        """What to print of one image, the most probable class first."""
        if self.task == "regression":
            return [f"{value:>12.6g}  {name}" for value, name in zip(logits.tolist(), names)]
        yes, order = self.decisions(logits), np.argsort(-logits, kind="stable").tolist()
        if self.task == "single-label":
            shares = softmax(logits)
            return [f"{shares[index]:8.1%}  {names[index]}" for index in order]
        shares = sigmoid(logits)
        if self.task == "binary":
            shares, order = np.append(1 - shares, shares), [yes[0], 1 - yes[0]]
            return [f"{shares[index]:8.1%}  {names[index]}" for index in order]
        return [
            f"{shares[index]:8.1%}  {'no ' if not yes[index] else ''}{names[index]}"
            for index in order
        ]

    def batch(self, pixels: Any) -> Any:
        """The model's input: the pixels, or normalised step by step in float32."""
        batch = pixels[None]
        if self.dtype == "float32":
            batch = (batch.astype(np.float32) / np.float32(255) - self.mean) / self.std
        axes = (0, 3, 1, 2) if self.layout == "NCHW" else (0, 1, 2, 3)
        return np.ascontiguousarray(batch.transpose(axes))

    def __call__(self, pixels: Any) -> Any:
        """Logits of one image."""
        try:
            name = self.session.get_inputs()[0].name
            logits = self.session.run(None, {name: self.batch(pixels)})[0]
        except Exception as exc:  # as above
            refuse(f"{MODEL}: {ORT} cannot run it: {str(exc)[:300]}; do not trust this file")
        finite = f"{np.isfinite(logits).sum()} of {logits.size} finite"
        if logits.shape != (1, self.classes) or not np.isfinite(logits).all():
            wanted = f"{self.classes} finite logits as its metadata says"
            refuse(f"{MODEL}: expected {wanted}, found {finite}; do not trust this file")
        return logits[0]


def both(size: Any) -> Any:
    """Height and width, of which a square's is one number."""
    height, width = size if isinstance(size, list) else (size, size)
    return height, width


def pixels_of(
    data: bytes,
    resize: Any,
    crop: Any,
    kernel: Any = BILINEAR,
    squash: bool = False,
    scaled: bool = False,
) -> Any:
    """Decode an image file to RGB pixels, uint8 (H, W, 3) of the crop; raises if unusable."""
    rgb = drafted(data, resize, kernel, squash) if scaled else None
    if rgb is None:
        image = opened(data)
        image.load()
        rgb = grey(image) if image.mode.startswith(("I", "F")) else image.convert("RGB")
        rgb = upright(rgb, orientation(image))
        rgb = rgb.resize(resized(rgb.size, resize, squash), kernel)
    height, width = both(crop)
    # Of a smaller image, how much black is put before it, negative.
    left, top = (
        round(n / 2) if n >= 0 else -(-n // 2) for n in (rgb.width - width, rgb.height - height)
    )
    return np.asarray(rgb.crop((left, top, left + width, top + height)))


def drafted(data: bytes, resize: Any, kernel: Any, squash: bool) -> Any:
    """A large JPEG, decoded to at least twice what it is resized to; None of any other image."""
    image = opened(data)
    if not isinstance(image, JpegImageFile):
        return None
    turn = orientation(image)
    stored = slice(None, None, -1 if turn in ON_ITS_SIDE else 1)
    size = resized(image.size[stored], resize, squash)[stored]
    if image.width < 4 * size[0] or image.height < 4 * size[1]:
        return None
    try:
        _, box = image.draft(None, (2 * size[0], 2 * size[1])) or (None, None)
        return upright(image.convert("RGB").resize(size, kernel, box=box), turn)
    except Exception:  # it cannot be done with a lossless JPEG; a damaged one is refused
        return None


def opened(data: bytes) -> Any:
    """An image of which nothing but its head is read."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"more than {MAX_PIXELS // 1_000_000} megapixels")
    return image


def orientation(image: Any) -> int:
    """That of EXIF; 1, upright, where there is none or it is damaged."""
    try:
        found = image.getexif().get(0x0112)
    except Exception:  # damaged metadata does not make the pixels unusable
        return 1
    return found if isinstance(found, int) and found in UPRIGHT else 1


def upright(image: Any, turn: int) -> Any:
    """The image as its EXIF orientation wants it seen."""
    return image.transpose(TRANSPOSE(UPRIGHT[turn])) if turn in UPRIGHT else image


def resized(size: Any, resize: Any, squash: bool) -> Any:
    """Width and height of an image after resizing; raises if it is too narrow."""
    height, width = both(resize)
    if not squash and height == width:  # the shorter side
        short, long = sorted(size)
        longer = int(height * long / short)
        width, height = (width, longer) if size[0] <= size[1] else (longer, height)
    elif not squash:  # what covers both
        ratio = min(size[1] / height, size[0] / width)
        width, height = (round(side / ratio) for side in size)
    if width * height > MAX_PIXELS:
        raise ValueError(f"too narrow: {size[0]} x {size[1]} pixels")
    return width, height


def silence_pictures() -> None:
    """Keep what Pillow, and libtiff in C, say of damaged pictures off stderr."""
    warnings.simplefilter("ignore")
    try:
        library = ctypes.CDLL(sys.modules["PIL._imaging"].__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            set_handler = getattr(library, name)
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
    except (OSError, AttributeError):  # a Pillow without libtiff has nothing to say
        pass


def grey(image: Any) -> Any:
    """16-bit grey as RGB: scaled, where Pillow would clip."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("pixels whose range is not known")
    scaled = (values.astype(np.int32) + 128) // 257
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")


def photo(path: Path, model: Model) -> Any:
    """The pixels of a photo on disk."""
    try:
        return pixels_of(picture(path), *model.how)
    except Exception as exc:  # Pillow raises two dozen types on damaged files
        problem = getattr(exc, "strerror", None) or str(exc)[:300] or type(exc).__name__
        refuse(f"{path}: expected an image ({', '.join(FORMATS)}), found: {problem}")


def picture(path: Path) -> bytes:
    """The bytes of a picture file."""
    if path.exists() and not path.is_file():  # reading a pipe or a device may never end
        raise ValueError("something that is no file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"a file of more than {MAX_BYTES // 2**20} MiB")
    return data


def labels(classes: int) -> list[str]:
    """Class names, safe to print; numbers if the bundle has no names."""
    try:
        names = content("labels.txt").decode("utf-8-sig", "replace").splitlines()
    except OSError:
        return [str(index) for index in range(classes)]
    if len(names) != classes:
        refuse(f"labels.txt: expected {classes} lines, one per class, found {len(names)}")
    return [visible(name[:200]) for name in names]


def sigmoid(logits: Any) -> Any:
    """Probability of yes of each class, float64."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-logits.astype(np.float64)))


def softmax(logits: Any) -> Any:
    """Probabilities of the classes, float64."""
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()


def main() -> int:
    """Print the most probable classes of photos; equal logits rank by class index."""
    parser = argparse.ArgumentParser(prog="classify", description=(__doc__ or "").split(":")[0])
    parser.error = lambda message: refuse(f"{message}; --help shows what can be given")  # type: ignore[method-assign]
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE")
    parser.add_argument("--top", type=int, default=5, help="classes to show per photo")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--self-test", action="store_true", help="does this machine compute alike?")
    parser.add_argument("--json", action="store_true", help="the self-test's answers, to be kept")
    given = parser.parse_args()
    if given.top < 1 or not 0 <= given.threads <= 1024:
        parser.error("--top: expected at least 1, --threads: 0 to 1024")
    if bool(given.images) == given.self_test or given.json > given.self_test:
        parser.error("expected photos, or --self-test [--json]")
    silence_pictures()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack a letter of a class name
    model = Model(given.threads)
    names = labels(2 if model.task == "binary" else model.classes)
    if given.self_test:
        sys.path.insert(0, str(HERE))
        from self_test import self_test  # type: ignore[import-not-found]  # beside this file

        passed: bool = self_test(sys.modules[__name__], model, names, as_json=given.json)
        return 0 if passed else 1
    for path in given.images:
        lines = model.lines(model(photo(path, model)), names)
        print(visible(path))
        print(*(lines if model.task == "regression" else lines[: given.top]), sep="\n")
    return 0


def run() -> int:
    """`main`, without a traceback on interrupts and broken pipes."""
    try:
        code = main()
        print(end="", flush=True)
    except KeyboardInterrupt:
        return 130
    except OSError as exc:  # of `print` alone: what cannot be read is refused
        # What is left to be written would be tried, and told of, once more at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(exc, BrokenPipeError):
            refuse(f"cannot print: {exc.strerror}")
        return 141  # as of a program that the closed pipe ended
    return code


if __name__ == "__main__":
    sys.exit(run())
