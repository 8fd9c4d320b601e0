"""The JSON files that `save_pretrained` writes: their rules by hand, and their refusals."""

import json
from pathlib import Path
from typing import Any

import pytest

from eightbit.models import InputError, Interpolation, Preprocessing, Task, Wanted
from eightbit.models.doors.foreign.hf_files import read_config, read_preprocessing

CONFIG: dict[str, Any] = {
    "architectures": ["ResNetForImageClassification"],
    "model_type": "resnet",
    "dtype": "float32",
    "depths": [1, 1],
    "hidden_sizes": [8, 16],
    "layer_type": "basic",
}
PROCESSOR: dict[str, Any] = {
    "image_processor_type": "ConvNextImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "crop_pct": 0.875,
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 0.00392156862745098,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
IMAGENET = Preprocessing(resize=256, crop=224, interpolation=Interpolation.BICUBIC)


def prepared(folder: Path, wanted: Wanted | None = None, **changes: Any) -> Preprocessing:
    content = {key: value for key, value in (PROCESSOR | changes).items() if value != "absent"}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    return read_preprocessing(folder, wanted or Wanted())[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, IMAGENET),
        ({"size": 224}, IMAGENET),
        (
            {"image_processor_type": "absent", "feature_extractor_type": "ConvNextFeatureExtractor"}
            | {"do_center_crop": None, "do_rescale": None, "rescale_factor": None},
            IMAGENET,
        ),
        ({"crop_pct": "absent", "resample": "absent"}, IMAGENET),
        ({"resample": 2}, Preprocessing(resize=256, crop=224)),
        ({"crop_pct": 0.95}, IMAGENET.model_copy(update={"resize": 235})),  # 235.79
        (
            {"size": {"shortest_edge": 176}},
            IMAGENET.model_copy(update={"resize": 201, "crop": 176}),  # 201.14
        ),
        (
            {"size": {"shortest_edge": 383}, "crop_pct": 1},
            IMAGENET.model_copy(update={"resize": 383, "crop": 383}),
        ),
        # From there on both sides are made as long, and nothing is cut off.
        (
            {"size": {"shortest_edge": 384}},
            IMAGENET.model_copy(update={"resize": 384, "crop": 384, "squash": True}),
        ),
        (
            {"size": "absent"},
            IMAGENET.model_copy(update={"resize": 384, "crop": 384, "squash": True}),
        ),
        # Left out, it is IMAGENET_STANDARD_MEAN and _STD, which are not ImageNet's.
        (
            {"image_mean": "absent", "image_std": "absent"},
            IMAGENET.model_copy(update={"mean": (0.5,) * 3, "std": (0.5,) * 3}),
        ),
        (
            {"do_normalize": False},
            IMAGENET.model_copy(update={"mean": (0.0,) * 3, "std": (1.0,) * 3}),
        ),
    ],
)
def test_preprocessing_follows_the_rule_of_its_class(
    changes: dict[str, Any], expected: Preprocessing, tmp_path: Path
) -> None:
    assert prepared(tmp_path, **changes) == expected


@pytest.mark.parametrize(
    ("changes", "message", "wanted"),
    [
        ({"do_resize": False}, "do_resize: found false; give --re", Wanted(resize=9, crop=9)),
        ({"do_center_crop": True}, "do_center_crop: found true", Wanted(resize=9, crop=9)),
        ({"do_pad": True}, "do_pad: found true", Wanted(resize=9, crop=9)),
        # Which the class itself refuses.
        (
            {"size": {"height": 96, "width": 160}},
            "size: expected shortest_edge, .* width 96x160; give --resize 96x160 and --crop 96x160",
            Wanted(resize=(96, 160), crop=(96, 160)),
        ),
        ({"size": {}}, "size: expected shortest_edge, .* found none", Wanted(resize=9, crop=9)),
        (
            {"resample": 1},
            "resample: expected 2 .* found 1; give --interp",
            Wanted(interpolation=Interpolation.BICUBIC),
        ),
        (
            {"rescale_factor": 1 / 127.5},
            "rescale_factor: expected 1/255",
            Wanted(mean=(0.5,) * 3, std=(0.5,) * 3),
        ),
        (
            {"do_rescale": False},
            "do_rescale: found false; give --mean",
            Wanted(mean=(0.5,) * 3, std=(0.5,) * 3),
        ),
        (
            {"image_mean": [123.7, 116.3, 103.5]},
            "image_mean: expected at most 1",
            Wanted(mean=(0.5,) * 3, std=(0.5,) * 3),
        ),
    ],
)
def test_what_is_not_done_here_is_refused_until_an_option_says_otherwise(
    changes: dict[str, Any], message: str, wanted: Wanted, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"preprocessor_config.json: .*{message}"):
        prepared(tmp_path, **changes)
    found = prepared(tmp_path, wanted, **changes)
    assert found.crop == (wanted.crop or 224)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_processor_type": "ViTImageProcessor"}, "expected ConvNextImageProcessor, found V"),
        ({"image_processor_type": None}, "expected ConvNextImageProcessor, found None"),
        ({"crop_pct": 0}, "crop_pct: Input should be greater"),
        ({"crop_pct": float("nan")}, "crop_pct: "),
        ({"image_std": [0.1, 0.1, 0]}, "image_std: 2: Input should be greater"),
        ({"image_mean": [1e999, 0, 0]}, "image_mean: 0: "),
        ({"image_mean": [0.5]}, "image_mean: "),
        ({"size": {"height": 96, "width": 0}}, "size: width: Input should be greater"),
        ({"size": 10**9}, "size: "),
        ({"resample": "bicubic"}, "resample: Input should be a valid integer"),
        ({"do_resize": "yes"}, "do_resize: Input should be a valid boolean"),
    ],
)
def test_a_processor_that_is_none_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        prepared(tmp_path, **changes)
    assert "--resize, --crop, --squash, --interpolation, --mean, --std" in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


def test_a_crop_that_is_no_square_has_the_room_of_the_files_own(tmp_path: Path) -> None:
    found = prepared(tmp_path, Wanted(crop=(224, 320)))
    assert (found.resize, found.crop) == ((256, 366), (224, 320))
    squashed = prepared(tmp_path, Wanted(crop=(96, 160)), size={"shortest_edge": 384})
    assert (squashed.resize, squashed.crop, squashed.squash) == ((96, 160), (96, 160), True)


def test_without_a_processor_what_is_taken_for_granted_is_said(tmp_path: Path) -> None:
    found, notes = read_preprocessing(tmp_path, Wanted(crop=200))
    assert found == IMAGENET.model_copy(update={"crop": 200})
    assert notes[0].startswith("no preprocessor_config.json: shorter side 256 px, bicubic")
    assert read_preprocessing(tmp_path, Wanted(preprocessing=Preprocessing())) == (
        Preprocessing(),
        (),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "vit"}, "model_type: Input should be 'resnet', found vit"),
        (
            {"architectures": ["ResNetModel"]},
            "expected ResNetForImageClassification, found ResNetM",
        ),
        ({"hidden_act": "gelu"}, "hidden_act: Input should be 'relu', found gelu"),
        ({"layer_type": "\x1b[31m"}, r"layer_type: .*found \\x1b\[31m"),
        ({"num_channels": 1}, "num_channels: Input should be 3, found 1"),
        ({"depths": [1, 1, 1]}, "depths: expected one for each of 2 hidden_sizes, found 3"),
        ({"depths": []}, "depths: "),
        ({"depths": [1, 10**9]}, "depths: 1: "),
        ({"hidden_sizes": [8, 2**40]}, "hidden_sizes: 1: "),
        ({"embedding_size": 64.5}, "embedding_size: "),
        ({"auto_map": {"AutoModel": "code.Net"}}, "auto_map: "),
        ({"quantization_config": {"bits": 4}}, "quantization_config: "),
        ({"problem_type": "other"}, "problem_type: "),
        ({"id2label": {"0": 1}}, "id2label: 0: Input should be a valid string"),
    ],
)
def test_a_network_that_is_not_built_here_is_refused_by_name(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | changes))
    with pytest.raises(InputError, match=f"config.json: .*{message}") as caught:
        read_config(tmp_path)
    assert "FILE.py:CALLABLE" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"model_type": "resnet"',
        '{"model_type": "\\ud800"}',
        "\x00",
    ],
)
def test_text_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json: ") as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected the config\.json that save_pretrained writes"):
        read_config(tmp_path)


def config(folder: Path, **changes: Any) -> Any:
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    return read_config(folder)


def test_labels_are_in_the_order_of_their_indices(tmp_path: Path) -> None:
    found = config(tmp_path, id2label={"1": "tulip", "0": "rose", "2": "lily"})
    assert found.labels(3, "x") == ("rose", "tulip", "lily")
    assert config(tmp_path).labels(2, "x") is None
    made_up = config(tmp_path, id2label={"0": "LABEL_0", "1": "LABEL_1"})
    assert made_up.labels(2, "x") is None


@pytest.mark.parametrize(
    "names",
    [{"0": "a"}, {"0": "a", "1": "b", "2": "c"}, {"1": "a", "2": "b"}, {"0": "a", "1": " "}],
    ids=["too few", "too many", "from 1", "an empty name"],
)
def test_labels_that_are_not_one_for_each_class_are_refused(
    names: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"id2label: expected a name for each of 0 to 1, .*--labels"
    ):
        config(tmp_path, id2label=names).labels(2, "config.json")


def test_the_task_is_what_the_library_would_train(tmp_path: Path) -> None:
    assert config(tmp_path).task(1) is Task.REGRESSION
    assert config(tmp_path).task(3) is None
    multi = config(tmp_path, problem_type="multi_label_classification")
    assert multi.task(3) is Task.MULTI_LABEL
