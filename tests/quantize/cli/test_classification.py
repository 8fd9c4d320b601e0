"""Classes of photos, by the artefact's own preprocessing and labels."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from eightbit.benchmarks import open_runner
from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.models.errors import InputError
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import preprocess
from eightbit.models.spec import Architecture, ModelSpec
from eightbit.quantize import bundle, classify, read_recipe
from eightbit.quantize.cli.classification import Guess, _guesses
from eightbit.quantize.cli.console import guesses_table

Eightbit = Callable[..., Any]


def _spec(labels: tuple[str, ...] | None = None) -> ModelSpec:
    return ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=4, labels=labels)


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    logits = np.log([0.1, 0.2, 0.6, 0.1])
    guesses = _guesses(logits, _spec(("a", "b", "c", "d")), top=2)
    assert [(guess.index, guess.label) for guess in guesses] == [(2, "c"), (1, "b")]
    assert [guess.probability for guess in guesses] == pytest.approx([0.6, 0.2])


def test_equal_logits_rank_by_class_index() -> None:
    guesses = _guesses(np.array([1.0, 3.0, 3.0, 1.0]), _spec(), top=4)
    assert [guess.index for guess in guesses] == [1, 2, 0, 3]
    assert guesses[0].label == "1"


def test_huge_logits_do_not_overflow() -> None:
    (first,) = _guesses(np.array([1e4, -1e4, 0.0, 0.0]), _spec(), top=1)
    assert first.probability == 1.0


@pytest.mark.parametrize("name", [bundle.ONNX, TORCHSCRIPT.file()])
def test_an_artefact_says_what_it_says_of_the_preprocessed_photo(
    name: str, bundle_folder: Path, photos: Path
) -> None:
    images = [photos / "3" / "1.png", photos / "7" / "2.png"]
    found = list(classify(bundle_folder / name, images, threads=1, top=3))
    assert [path for path, _ in found] == images
    preprocessing = read_recipe(bundle_folder / bundle.RECIPE).spec.preprocessing
    runner = open_runner(bundle_folder / name, threads=1)
    for path, guesses in found:
        logits = runner(preprocess(decode_image(path.read_bytes()), preprocessing)[None])[0]
        assert [guess.index for guess in guesses] == list(np.argsort(-logits, kind="stable")[:3])


def test_more_classes_than_there_are_show_all(
    eightbit: Eightbit, bundle_folder: Path, photos: Path
) -> None:
    photo = photos / "0" / "0.png"
    outcome = eightbit("classify", bundle_folder / bundle.ONNX, photo, "--top", 99)
    assert outcome.code == 0, outcome
    assert outcome.out.count("%") == 10
    # A long path is broken where the line ends.
    assert "0.png" in "".join(outcome.out.split())


def test_an_answer_that_is_no_number_is_refused(broken_onnx: Path, photos: Path) -> None:
    with pytest.raises(InputError, match=r"0\.png: expected finite logits, found 1 of 10"):
        list(classify(broken_onnx, [photos / "0" / "0.png"], threads=1))


def test_a_label_of_a_stranger_is_escaped_and_cut():
    screen = io.StringIO()
    label = "\x1b[2J\u202e" + "x" * 100_000
    guesses = (Guess(index=0, label=label, probability=1.0, value=1.0, chosen=True),)
    Console(file=screen, width=200).print(guesses_table(Path("\x1b[31m.png"), guesses))
    assert all(char.isprintable() or char == "\n" for char in screen.getvalue())
    assert r"\x1b[2J\u202ex" in screen.getvalue()
    assert len(screen.getvalue()) < 2000


@pytest.mark.parametrize("file", ["", ".", "/"])
def test_a_folder_in_place_of_a_model_is_refused(file: str, photo: Path, eightbit: Eightbit):
    assert "expected a model file" in eightbit("classify", file, photo).error
