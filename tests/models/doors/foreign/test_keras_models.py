"""Files as Keras writes them: what they say is taken from them, the rest refused by name."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from tests.models.doors.keras.writing import dense, layer, sequential, write_archive, write_h5

from eightbit.models import ChannelOrder, InputError, Pretrained, Task, Wanted, load_source

RAW = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
KERNEL = np.arange(6, dtype=np.float32).reshape(3, 2)
BIAS = np.float32([1, -1])
MEANS = np.float32([[10, 20, 30]])  # of the channels of `photo`


def photo(pretrained: Pretrained, means: Any = MEANS) -> torch.Tensor:
    """An image of 4 px, each channel one number in 0..255, as the network takes it."""
    spec = pretrained.spec.preprocessing
    normal = (torch.tensor(means) / 255 - torch.tensor(spec.mean)) / torch.tensor(spec.std)
    return normal.float()[:, :, None, None].expand(-1, -1, 4, 4)


def test_an_old_file_and_a_new_archive_are_the_same_network(tmp_path: Path) -> None:
    config = sequential(*dense())
    old = write_h5(tmp_path / "m.h5", config, {"dense": [KERNEL, BIAS]})
    new = write_archive(tmp_path / "m.keras", config, {"dense": [KERNEL, BIAS]})
    for source in (old, new):
        found = load_source(source, Wanted(**RAW))
        answer = found.model(photo(found))
        np.testing.assert_allclose(answer.numpy(), MEANS @ KERNEL + BIAS, rtol=1e-5)
        assert (found.spec.architecture, found.source) == ("keras:made", Path(source).name)


def test_the_names_of_layers_are_those_of_the_network(tmp_path: Path) -> None:
    source = write_h5(tmp_path / "m.h5", sequential(*dense("fc")), {"fc": [KERNEL, BIAS]})
    assert list(load_source(source, Wanted(**RAW)).model.state_dict()) == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("activation", "units", "task", "note"),
    [
        ("softmax", 2, Task.SINGLE_LABEL, "softmax"),
        ("sigmoid", 2, Task.MULTI_LABEL, "sigmoid"),
        ("sigmoid", 1, Task.BINARY, "sigmoid"),
        ("linear", 2, Task.SINGLE_LABEL, ""),
    ],
)
def test_probabilities_are_taken_apart_and_say_the_task(
    activation: str, units: int, task: Task, note: str, tmp_path: Path
) -> None:
    config = sequential(*dense(units=units, activation=activation))
    arrays = {"dense": [KERNEL[:, :units], BIAS[:units]]}
    found = load_source(write_archive(tmp_path / "m.keras", config, arrays), Wanted(**RAW))
    assert found.spec.task is task
    assert [note] * bool(note) == [
        text.split()[2] for text in found.notes if text.startswith("its last")
    ]
    expected = (MEANS @ KERNEL + BIAS)[:, :units]
    np.testing.assert_allclose(found.model(photo(found)).numpy(), expected, rtol=1e-5)


def test_a_network_of_numbers_says_so_by_its_loss(tmp_path: Path) -> None:
    config = {**sequential(*dense()), "compile_config": {"loss": "mean_squared_error"}}
    source = write_archive(tmp_path / "m.keras", config, {"dense": [KERNEL, BIAS]})
    assert load_source(source, Wanted(**RAW)).spec.task is Task.REGRESSION


def test_a_hard_sigmoid_is_that_of_the_keras_which_wrote_it(tmp_path: Path) -> None:
    config = sequential(*dense(), layer("Activation", "last", activation="hard_sigmoid"))
    arrays = {"dense": [KERNEL / 100, BIAS]}
    old = load_source(write_h5(tmp_path / "m.h5", config, arrays), Wanted(**RAW))
    new = load_source(write_archive(tmp_path / "m.keras", config, arrays), Wanted(**RAW))
    inner = MEANS @ KERNEL / 100 + BIAS
    for found, expected in ((old, inner * 0.2 + 0.5), (new, inner / 6 + 0.5)):
        answer = found.model(photo(found)).numpy()
        np.testing.assert_allclose(answer, expected.clip(0, 1), rtol=1e-5)


def test_first_layers_become_preprocessing(tmp_path: Path) -> None:
    rescaling = layer("Rescaling", "scale", scale=1 / 127.5, offset=-1)
    normalization = layer("Normalization", "norm", axis=[-1], mean=[0.5, 0, 0], variance=[4, 1, 1])
    config = sequential(layer("RandomFlip", "flip"), rescaling, normalization, *dense())
    source = write_archive(tmp_path / "m.keras", config, {"dense": [KERNEL, BIAS]})
    found = load_source(source, Wanted())
    assert found.spec.preprocessing.mean == pytest.approx((0.75, 0.5, 0.5))
    assert found.spec.preprocessing.std == pytest.approx((1, 0.5, 0.5))
    scaled = (MEANS / 127.5 - 1 - np.float32([0.5, 0, 0])) / np.float32([2, 1, 1])
    np.testing.assert_allclose(found.model(photo(found)).numpy(), scaled @ KERNEL + BIAS, rtol=1e-5)


def test_a_network_of_a_name_of_keras_applications_has_their_preprocessing(tmp_path: Path) -> None:
    config = sequential(*dense())
    config["config"]["name"] = "resnet50"
    source = write_archive(tmp_path / "m.keras", config, {"dense": [KERNEL, BIAS]})
    found = load_source(source, Wanted())
    caffe = (123.68 / 255, 116.779 / 255, 103.939 / 255)
    assert found.spec.preprocessing.mean == pytest.approx(caffe)
    assert any("channels (bgr) are those that keras" in note for note in found.notes)
    assert found.channels is ChannelOrder.BGR
    # A recipe says the channels again, and its preprocessing.
    again = Wanted(preprocessing=found.spec.preprocessing, channels=found.channels)
    rebuilt = load_source(source, again)
    torch.testing.assert_close(rebuilt.model(photo(found)), found.model(photo(found)))
    given = (MEANS - np.float32([123.68, 116.779, 103.939]))[:, ::-1]
    np.testing.assert_allclose(found.model(photo(found)).numpy(), given @ KERNEL + BIAS, rtol=1e-5)


def test_one_channel_is_grey(tmp_path: Path) -> None:
    config = sequential(layer("Rescaling", "scale", scale=1 / 255), *dense(), shape=(4, 4, 1))
    source = write_archive(tmp_path / "m.keras", config, {"dense": [KERNEL[:1], BIAS]})
    found = load_source(source, Wanted())
    assert found.channels is ChannelOrder.GREY
    grey = MEANS @ np.float32([[0.299], [0.587], [0.114]]) / 255
    np.testing.assert_allclose(
        found.model(photo(found)).numpy(), grey @ KERNEL[:1] + BIAS, rtol=1e-5
    )
    with pytest.raises(InputError, match="--channels: expected those of a model of 1, found bgr"):
        load_source(source, Wanted(channels=ChannelOrder.BGR))


def test_images_are_squashed_unless_an_option_says_otherwise(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "m.keras", sequential(*dense()), {"dense": [KERNEL, BIAS]})
    assert load_source(source, Wanted(**RAW)).spec.preprocessing.squash
    found = load_source(source, Wanted(**RAW, squash=False, resize=6)).spec.preprocessing
    assert (found.resize, found.crop, found.squash) == (6, 4, False)


def test_images_are_squashed_to_the_height_and_width_of_the_file(tmp_path: Path) -> None:
    """The order of rows and columns shows in what Flatten reads."""
    kernel = np.random.default_rng(0).normal(size=(4 * 6 * 3, 2)).astype(np.float32)
    layers = (layer("Rescaling", "scale", scale=1 / 255), layer("Flatten", "flat"))
    config = sequential(*layers, layer("Dense", "dense", units=2), shape=(4, 6, 3))
    source = write_archive(tmp_path / "m.keras", config, {"dense": [kernel, BIAS]})
    found = load_source(source, Wanted())
    spec = found.spec.preprocessing
    assert (spec.resize, spec.crop, spec.squash) == ((4, 6), (4, 6), True)
    pixels = np.random.default_rng(1).random((2, 4, 6, 3), dtype=np.float32)
    expected = pixels.reshape(2, -1) @ kernel + BIAS
    answer = found.model(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_size_that_the_file_leaves_open_is_said_as_height_and_width(tmp_path: Path) -> None:
    config = sequential(*dense(), shape=(None, None, 3))
    source = write_archive(tmp_path / "m.keras", config, {"dense": [KERNEL, BIAS]})
    spec = load_source(source, Wanted(**RAW, crop=(4, 6))).spec.preprocessing
    assert (spec.resize, spec.crop, spec.squash) == ((4, 6), (4, 6), True)


def test_without_a_word_on_pixels_they_have_to_be_said(tmp_path: Path) -> None:
    source = write_archive(tmp_path / "m.keras", sequential(*dense()), {"dense": [KERNEL, BIAS]})
    with pytest.raises(InputError, match="does not say what pixels it takes; say it: --mean"):
        load_source(source, Wanted())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([layer("Lambda", "mine", function=["code", None, None])], "found Lambda, which is code"),
        ([layer("LSTM", "lstm", units=2)], "lstm: expected a layer .* found LSTM; build it"),
        ([layer("Conv2D", "c", filters=2, kernel_size=3, data_format="channels_first")], "data_f"),
        ([layer("ReLU", "r", threshold=0.5)], "threshold: 0, found 0.5"),
        ([layer("Activation", "a", activation="mine")], "an activation that is .* found mine"),
        ([layer("MaxPooling2D", "p", pool_size=9)], "windows"),
        ([layer("Conv2D", "c", filters=2, kernel_size=3, strange=7)], "strange: expected no such"),
        ([{**layer("Dense", "d", units=2), "registered_name": "Custom>Dense"}], "Custom>Dense"),
    ],
    ids=["code", "RNN", "layout", "threshold", "activation", "pool", "option", "own class"],
)
def test_what_is_not_known_is_refused_by_name(
    layers: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    config = sequential(*layers, *dense())
    arrays = {"dense": [KERNEL, BIAS], "conv2d": [np.ones((3, 3, 3, 2), np.float32), BIAS]}
    with pytest.raises(InputError, match=message) as caught:
        load_source(write_archive(tmp_path / "m.keras", config, arrays), Wanted(**RAW))
    assert "\n" not in str(caught.value)


def test_a_model_of_the_users_own_class_is_refused(tmp_path: Path) -> None:
    config = {"class_name": "MyNet", "config": {"dim": 3}, "registered_name": "Custom>MyNet"}
    with pytest.raises(InputError, match="of the class MyNet, whose code is not in the file"):
        load_source(write_archive(tmp_path / "m.keras", config, {}), Wanted(**RAW))


def test_weights_alone_and_other_files_are_called_what_they_are(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = KERNEL
    with pytest.raises(InputError, match="without a model, such as weights alone"):
        load_source(f"keras:{tmp_path}/w.h5", Wanted(**RAW))
    (tmp_path / "x.h5").write_bytes(b"\x93NUMPY\x01\0" + bytes(90))
    with pytest.raises(InputError, match="found a NumPy array"):
        load_source(f"keras:{tmp_path}/x.h5", Wanted(**RAW))
    with pytest.raises(InputError, match="found no such file"):
        load_source(f"keras:{tmp_path}/none.keras", Wanted(**RAW))
    source = write_archive(tmp_path / "m.keras", sequential(*dense()), {"dense": [KERNEL, BIAS]})
    with pytest.raises(InputError, match="--weights: expected none beside keras:FILE"):
        load_source(source, Wanted(weights="x.pth", **RAW))


def damaged(kind: str, path: Path, elsewhere: Path) -> str:
    """A model whose arrays are not what they should be."""
    values = {"wrong shape": [KERNEL.T, BIAS], "missing": [KERNEL]}.get(kind, [KERNEL, BIAS])
    if kind == "not finite":
        values = [KERNEL * np.float32("nan"), BIAS]
    source = write_h5(path, sequential(*dense()), {"dense": values})
    if kind in ("link", "external", "compressed", "empty"):
        with h5py.File(path, "r+") as file:
            del file["model_weights/dense/dense/kernel:0"]
            group = file["model_weights/dense/dense"]
            if kind == "link":
                group["kernel:0"] = h5py.ExternalLink(str(elsewhere), "kernel")
            elif kind == "external":
                group.create_dataset("kernel:0", (3, 2), "f4", external=[(str(elsewhere), 0, 24)])
            elif kind == "compressed":
                group.create_dataset("kernel:0", data=KERNEL, compression="gzip")
            else:
                group.create_dataset("kernel:0", (3, 2), "f4")
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:3000])
    return source


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("wrong shape", r"dense .*kernel of shape \(3, 2\), found \(2, 3\)"),
        ("missing", "dense: expected the weights kernel, bias, found 0 arrays"),
        ("not finite", "expected finite weights"),
        ("link", "found a link to something else"),
        ("external", "found one that is compressed or lies in another file"),
        ("compressed", "found one that is compressed or lies in another file"),
        ("empty", "expected an array of its 24 bytes, found fewer"),
        ("cut", "found a damaged HDF5 file"),
    ],
)
def test_arrays_are_in_the_file_and_whole(kind: str, message: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.h5"
    with h5py.File(elsewhere, "w") as file:
        file["kernel"] = KERNEL
    with pytest.raises(InputError, match=message):
        load_source(damaged(kind, tmp_path / "m.h5", elsewhere), Wanted(**RAW))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[]", "expected a JSON object, found list"),
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        (json.dumps(sequential(*dense(), shape=(4, 5, 2))), "of images of three channels or one"),
        (json.dumps(sequential(*dense(), shape=(4, None, 3))), "say which: --crop"),
        (json.dumps(sequential(*dense(), shape=(None, None, 3))), "say which: --crop"),
        (json.dumps({"class_name": "Sequential", "config": {"layers": [[]]}}), "layers with a cl"),
    ],
    ids=["list", "half", "deep", "two channels", "any width", "any size", "no layers"],
)
def test_a_strange_configuration_is_refused(config: str, message: str, tmp_path: Path) -> None:
    write_archive(tmp_path / "m.keras", sequential(*dense()), {"dense": [KERNEL, BIAS]})
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
        for name, content in {**members, "config.json": config.encode()}.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match=message):
        load_source(f"keras:{tmp_path}/n.keras", Wanted(**RAW))


def test_a_graph_that_waits_for_itself_is_refused(tmp_path: Path) -> None:
    images = {**layer("InputLayer", "images", batch_shape=[None, 4, 4, 3]), "inbound_nodes": []}
    call = [["second", 0, 0, {}]], [["first", 0, 0, {}]]
    layers = [
        {**layer("Activation", name, activation="relu"), "name": name, "inbound_nodes": [node]}
        for name, node in zip(("first", "second"), call, strict=True)
    ]
    config = {
        "class_name": "Functional",
        "config": {
            "layers": [{**images, "name": "images"}, *layers],
            "input_layers": [["images", 0, 0]],
            "output_layers": [["second", 0, 0]],
        },
    }
    with pytest.raises(InputError, match="waits for what nothing makes"):
        load_source(write_archive(tmp_path / "m.keras", config, {}), Wanted(**RAW))
