"""Writes small models as Keras does, without it."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, Sequence[npt.NDArray[np.float32]]]

# What Keras calls the weights of a layer, by how many it has.
NAMES = {1: ("kernel",), 2: ("kernel", "bias"), 4: ("gamma", "beta", "moving_mean", "moving_var")}


def layer(kind: str, name: str, **options: Any) -> dict[str, Any]:
    """A layer's configuration."""
    return {"class_name": kind, "config": {"name": name, **options}}


def sequential(*layers: dict[str, Any], shape: Sequence[int | None] = (4, 4, 3)) -> dict[str, Any]:
    """A sequential model's configuration."""
    images = layer("InputLayer", "images", batch_shape=[None, *shape])
    return {"class_name": "Sequential", "config": {"name": "made", "layers": [images, *layers]}}


def dense(name: str = "dense", units: int = 2, **options: Any) -> list[dict[str, Any]]:
    """A classifier of maps."""
    return [layer("GlobalAveragePooling2D", "pool"), layer("Dense", name, units=units, **options)]


def write_h5(path: Path, config: Mapping[str, Any], arrays: Arrays, version: str = "2.4.0") -> str:
    """Write a model to an .h5 file; returns the source that it is."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
        for name, values in arrays.items():
            group = file.create_group(f"model_weights/{name}")
            paths = [f"{name}/{kind}:0" for kind in NAMES[len(values)]]
            group.attrs["weight_names"] = [path.encode() for path in paths]
            for place, value in zip(paths, values, strict=True):
                group[place] = value
    return f"keras:{path}"


def write_archive(path: Path, config: object, arrays: Arrays, **more: Any) -> str:
    """Write a model to a .keras archive, arrays by the place of their layer; returns its source."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for place, values in arrays.items():
            for number, value in enumerate(values):
                file[f"layers/{place}/vars/{number}"] = value
    with zipfile.ZipFile(path, "w", **more) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
    return f"keras:{path}"
