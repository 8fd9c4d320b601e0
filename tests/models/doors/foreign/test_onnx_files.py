"""An ONNX file alone is a network: its size, task and names are taken where it knows them."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from tests.onnx_models import SIDE, TAIL, convolution, numbers, saved, written

from eightbit.models import (
    Architecture,
    InputError,
    ModelSpec,
    Preprocessing,
    Pretrained,
    Task,
    Wanted,
    load_source,
)
from eightbit.models.doors.onnx_graphs import comparing

BODY = f"c = Conv(x, w) h = Relu(c) {TAIL}"


def opened(path: Path, **wanted: object) -> Pretrained:
    return load_source(None, Wanted(weights=str(path), **wanted))  # type: ignore[arg-type]


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def answers(path: Path, given: torch.Tensor) -> np.ndarray:
    (found,) = ort.InferenceSession(path).run(None, {"x": given.contiguous().numpy()})
    return np.asarray(found)


def test_it_is_called_after_its_file_and_answers_the_same(tmp_path: Path) -> None:
    path = saved(written(BODY, convolution()), tmp_path, "flowers v2.onnx")
    found = opened(path)
    assert (found.spec.architecture, found.source) == ("onnx:flowers_v2", "flowers v2.onnx")
    assert (found.spec.num_classes, found.spec.labels, found.spec.task) == (
        4,
        None,
        Task.SINGLE_LABEL,
    )
    assert found.spec.preprocessing == Preprocessing(resize=SIDE, crop=SIDE)
    (note,) = found.notes
    assert note == (
        "an ONNX file does not say how images are prepared: shorter side 8 px, centre 8 px, "
        "mean 0.485 0.456 0.406 and standard deviation 0.229 0.224 0.225 taken for granted, where "
        "no option says otherwise"
    )
    with torch.inference_mode():
        np.testing.assert_allclose(found.model(images()), answers(path, images()), rtol=1e-4)


def test_options_come_first(tmp_path: Path) -> None:
    path = saved(written(BODY, convolution()), tmp_path)
    half = (0.5, 0.5, 0.5)
    found = opened(path, labels=("a", "b", "c", "d"), resize=10, mean=half, std=half)
    assert found.spec.labels == ("a", "b", "c", "d")
    assert found.spec.preprocessing == Preprocessing(resize=10, crop=SIDE, mean=half, std=half)
    assert found.notes == ()


def test_large_images_are_resized_as_imagenets_usually_are(tmp_path: Path) -> None:
    path = saved(written(BODY, convolution(), shape="N,3,224,224"), tmp_path)
    assert opened(path).spec.preprocessing == Preprocessing(resize=256, crop=224)


@pytest.mark.parametrize(
    ("shape", "resize", "said"),
    [
        ((12, 20), (12, 20), "covering 12x20 px (height x width), centre 12x20 px"),
        ((112, 168), (128, 192), "covering 128x192 px (height x width), centre 112x168 px"),
        ((96, 160), (96, 160), "covering 96x160 px (height x width), centre 96x160 px"),
    ],
)
def test_height_and_width_are_those_of_the_graph(
    shape: tuple[int, int], resize: tuple[int, int], said: str, tmp_path: Path
) -> None:
    """A network that reads every position, so that it takes no other size."""
    height, width = shape
    body = "c = Conv<strides = [4, 4]>(x, w) h = Relu(c) f = Flatten(h) y = MatMul(f, v)"
    positions = ((height - 3) // 4 + 1) * ((width - 3) // 4 + 1)
    weights = convolution(v=numbers(4 * positions, 5))
    path = saved(written(body, weights, shape=f"N,3,{height},{width}"), tmp_path)
    found = opened(path)
    assert found.spec.preprocessing == Preprocessing(resize=resize, crop=shape)
    assert said in found.notes[0]
    given = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        np.testing.assert_allclose(found.model(given), answers(path, given), rtol=1e-3, atol=1e-3)


def test_height_and_width_of_images_whose_channels_stand_last(tmp_path: Path) -> None:
    body = f"t = Transpose<perm = [0, 3, 1, 2]>(x) {BODY.replace('(x', '(t')}"
    found = opened(saved(written(body, convolution(), shape="N,10,16,3"), tmp_path))
    assert found.spec.preprocessing == Preprocessing(resize=(10, 16), crop=(10, 16))


def test_channels_may_stand_last(tmp_path: Path) -> None:
    body = f"t = Transpose<perm = [0, 3, 1, 2]>(x) {BODY.replace('(x', '(t')}"
    path = saved(written(body, convolution(), shape=f"N,{SIDE},{SIDE},3"), tmp_path)
    found = opened(path)
    expected = answers(path, images().permute(0, 2, 3, 1))
    with torch.inference_mode():
        np.testing.assert_allclose(found.model(images()), expected, rtol=1e-4)


def test_a_size_that_is_free_is_that_of_crop(tmp_path: Path) -> None:
    path = saved(written(BODY, convolution(), shape="N,3,H,W"), tmp_path)
    assert opened(path, crop=12).spec.preprocessing == Preprocessing(resize=12, crop=12)
    with pytest.raises(InputError, match=r"found shape \(any, 3, any, any\); give --crop"):
        opened(path)
    known = opened(path, crop=(12, 20)).spec.preprocessing
    assert known == Preprocessing(resize=(12, 20), crop=(12, 20))


def test_a_side_that_is_free_beside_one_that_is_not(tmp_path: Path) -> None:
    path = saved(written(BODY, convolution(), shape="N,3,10,W"), tmp_path)
    assert opened(path).spec.preprocessing.crop == 10
    assert opened(path, crop=(10, 16)).spec.preprocessing.crop == (10, 16)
    with pytest.raises(InputError, match="--crop: expected 10x16, the height and width of the im"):
        opened(path, crop=(12, 16))


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_fixed_number_of_images_is_any(batch: int, tmp_path: Path) -> None:
    body = f"c = Conv(x, w) h = Reshape(c, s) {TAIL}"
    weights = convolution(s=np.array([batch, 4, 6, 6]))
    path = saved(written(body, weights, shape=f"{batch},3,{SIDE},{SIDE}"), tmp_path)
    found = opened(path)
    expected = np.concatenate([answers(path, part) for part in images().split(batch)])
    with torch.inference_mode():
        np.testing.assert_allclose(found.model(images()), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("ending", "opset", "task"),
    [
        ("y = Softmax(l)", 13, Task.SINGLE_LABEL),
        ("s = Softmax(l) y = Identity(s)", 11, Task.SINGLE_LABEL),
        ("y = LogSoftmax(l)", 13, Task.SINGLE_LABEL),
        ("y = Sigmoid(l)", 13, Task.MULTI_LABEL),
    ],
)
def test_what_follows_the_logits_is_cut_off_and_said(
    ending: str, opset: int, task: Task, tmp_path: Path
) -> None:
    body = BODY.replace("y =", "l =")
    cut = saved(written(f"{body} {ending}", convolution(), opset=opset), tmp_path, "cut.onnx")
    plain = saved(written(BODY, convolution(), opset=opset), tmp_path, "plain.onnx")
    found = opened(cut)
    assert found.spec.task is task
    assert "was cut off: the network gives logits" in found.notes[0]
    with torch.inference_mode():
        np.testing.assert_allclose(found.model(images()), answers(plain, images()), rtol=1e-4)


def test_a_sigmoid_of_one_output_is_binary_and_that_of_a_regression_stays(tmp_path: Path) -> None:
    body = f"{BODY.replace('y =', 'l =')} y = Sigmoid(l)"
    path = saved(written(body, {"w": numbers(1, 3, 3, 3)}), tmp_path)
    assert opened(path).spec.task is Task.BINARY
    regression = opened(path, task=Task.REGRESSION)
    with torch.inference_mode():
        found = regression.model(images())
    np.testing.assert_allclose(found, answers(path, images()), rtol=1e-4)


NAMES = ("rose", "tulip", "daisy", "iris")


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": str(dict(enumerate(NAMES))), "task": "classify"},
        {"id2label": json.dumps(dict(enumerate(NAMES)))},
        {"labels": json.dumps(NAMES), "names": str(list(NAMES))},
    ],
    ids=["Ultralytics", "Hugging Face", "two that agree"],
)
def test_names_of_classes_are_taken_from_metadata(metadata: dict[str, str], tmp_path: Path) -> None:
    model = written(BODY, convolution())
    onnx.helper.set_model_props(model, metadata)
    assert opened(saved(model, tmp_path)).spec.labels == NAMES


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": str(dict(enumerate(NAMES[:3])))},
        {"names": str(NAMES), "labels": str(NAMES[::-1])},
        {"names": "__import__('os').system('false')"},
        {"names": "[" * 100_000},
        {"names": str({1: "a", 2: "b", 3: "c", 4: "d"})},
        {"names": "[1, 2, 3, 4]"},
    ],
    ids=["too few", "two that do not agree", "code", "brackets", "from 1", "numbers"],
)
def test_names_that_are_in_doubt_are_left_out(metadata: dict[str, str], tmp_path: Path) -> None:
    model = written(BODY, convolution())
    onnx.helper.set_model_props(model, metadata)
    found = opened(saved(model, tmp_path))
    assert found.spec.labels is None
    assert "not one name for each of 4 outputs, left out" in found.notes[-1]


@pytest.mark.parametrize(
    ("body", "shape", "message"),
    [
        (BODY, "N,1,8,8", r"expected RGB images of 3 channels, found shape \(any, 1, 8, 8\)"),
        (BODY, "999,3,8,8", r"expected any number of images at a time, or 256 at most, found"),
        (BODY, "N,3", r"expected images \(N, 3, H, W\) or \(N, H, W, 3\), found shape \(any, 3\)"),
        ("y = Conv(x, w)", "N,3,8,8", r"expected logits of shape \(2, classes\) for 2 images"),
        (BODY, "N,3,2,2", r"\(Conv\): expected inputs and attributes that fit together"),
        (
            f"c = Conv(x, w) r = Reshape(c, s) h = Softmax<axis = 0>(r) {TAIL}",
            "N,3,8,8",
            "found ones that differ by .* does it depend on the number of images",
        ),
    ],
    ids=["grey", "many images", "vectors", "maps", "too small", "images together"],
)
def test_what_is_no_classifier_of_images_is_refused(
    body: str, shape: str, message: str, tmp_path: Path
) -> None:
    weights = convolution(s=np.array([0, 4, -1, 1]))
    path = saved(written(body, weights, shape=shape), tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        opened(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_another_answer_than_onnx_runtimes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(written(BODY, convolution()), tmp_path)
    monkeypatch.setattr(comparing, "_MOST_DIFFERENT", -1.0)
    with pytest.raises(InputError, match="expected the answers of ONNX Runtime, found ones"):
        opened(path)


def test_other_options_are_refused(tmp_path: Path) -> None:
    path = saved(written(BODY, convolution()), tmp_path)
    with pytest.raises(InputError, match="--crop: expected 8, the side of the images"):
        opened(path, crop=16)
    with pytest.raises(InputError, match="--weights-key: expected none beside an ONNX file"):
        opened(path, weights_key="model")
    with pytest.raises(InputError, match="labels: expected 4 names"):
        opened(path, labels=("a", "b"))


def test_what_nobody_reads_is_not_computed(tmp_path: Path) -> None:
    body = f"huge = ConstantOfShape(s) {BODY}"
    path = saved(written(body, convolution(s=np.array([2**40]))), tmp_path)
    assert opened(path).spec.num_classes == 4


@pytest.mark.parametrize("content", [None, b"", b"\x80\x02}q\x00."])
def test_only_a_graph_needs_no_source(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="SOURCE: expected one beside these weights, or an ONNX"):
        opened(path)


def described(path: Path, document: object) -> Path:
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"eightbit": json.dumps(document)})
    onnx.save(model, path)
    return path


def test_a_float_model_of_ours_says_what_it_is(tmp_path: Path) -> None:
    half = (0.5, 0.5, 0.5)
    spec = ModelSpec(
        architecture=Architecture.CIFAR_RESNET20,
        num_classes=4,
        labels=("a", "b", "c", "d"),
        task=Task.MULTI_LABEL,
        threshold=0.3,
        preprocessing=Preprocessing(resize=11, crop=SIDE, mean=half, std=half),
    )
    document = {"format_version": 1, "spec": spec.model_dump(mode="json")}
    path = described(saved(written(BODY, convolution()), tmp_path), document)
    found = opened(path)
    assert found.spec.preprocessing == spec.preprocessing
    assert (found.spec.labels, found.spec.task) == (spec.labels, spec.task)
    assert (found.spec.threshold, found.notes) == (0.3, ())
    assert opened(path, resize=9).spec.preprocessing.resize == 9


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected what eightbit writes"),
        ({"spec": 3}, "expected what eightbit writes"),
        (
            {"spec": {"architecture": "resnet18", "num_classes": 7}},
            "expected 8 px and 4 outputs, as the graph has, found 224 px and 7",
        ),
    ],
)
def test_damaged_metadata_of_ours_is_refused(
    document: object, message: str, tmp_path: Path
) -> None:
    path = described(saved(written(BODY, convolution()), tmp_path), document)
    with pytest.raises(InputError, match=f"eightbit metadata: {message}.*do not trust") as caught:
        opened(path)
    assert "\n" not in str(caught.value)
