"""The recipe: with the float weights, it determines every integer of both artefacts.

It holds the intent, the numbers and where they come from, and nothing that differs between two
runs of the same command on the same machine: no time, no path.
"""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from eightbit.benchmarks.artifact import Sha256
from eightbit.benchmarks.versioned_json import SortedMapping, parse_versioned
from eightbit.calibration import (
    CalibrationResult,
    QuantDType,
    QuantParams,
    bias_params,
    choose_params,
    quantize,
    weight_params,
)
from eightbit.models.errors import InputError
from eightbit.models.pretrained import Pretrained
from eightbit.models.spec import FrozenModel, ModelSpec
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.fusion import float_parameters, integer_layers
from eightbit.quantize.graph import input_names, source_name, trace

RECIPE_FORMAT_VERSION: Final = 1

_COMPUTED_BY: Final = ("eightbit", "torch", "numpy", "pillow")

# A ResNet-152 with 100,000 classes stays under this; anything larger is no recipe.
RECIPE_MAX_BYTES: Final = 64 * 2**20

Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class LayerParams(FrozenModel):
    """The integers of one convolution or linear layer.

    Attributes:
        weight: Parameters of the weights, one scale per output channel.
        bias: The int32 bias itself, one integer per output channel, in units of ``s_x * s_w``.
    """

    weight: QuantParams
    bias: tuple[Int32, ...]

    @model_validator(mode="after")
    def _one_of_each_per_output_channel(self) -> Self:
        if (self.weight.dtype, self.weight.axis) != (QuantDType.INT8, 0):
            raise ValueError("weight: expected int8 with one scale per output channel (axis 0)")
        if len(self.weight.scale) != len(self.bias):
            raise ValueError(
                f"expected as many biases as weight scales, found {len(self.bias)} and "
                f"{len(self.weight.scale)}"
            )
        return self


class Provenance(FrozenModel):
    """Where the numbers come from.

    Attributes:
        weights: Name of the pretrained weights, or of the file without its folder.
        weights_sha256: Digest of that file.
        images: How many images calibrated the ranges.
        images_sha256: Digest of their preprocessed pixels, whatever their order.
        threads: torch's thread count then: float's last bits depend on it.
        versions: Of what computed the ranges.
    """

    weights: str
    weights_sha256: Sha256
    images: Annotated[int, Field(ge=1)]
    images_sha256: Sha256
    threads: Annotated[int, Field(ge=1)]
    versions: SortedMapping[str]


class Recipe(FrozenModel):
    """Intent, numbers and provenance of one quantized network.

    Attributes:
        format_version: Of this file format.
        spec: The network.
        config: The intent.
        activations: Parameters of every quantized activation, by tensor name.
        layers: Integers of every convolution and linear layer, by module name.
        output: Name of the activation that the network returns.
        provenance: Where they come from.
    """

    format_version: Literal[1] = RECIPE_FORMAT_VERSION
    spec: ModelSpec
    config: QuantConfig
    activations: Mapping[str, QuantParams]
    layers: Mapping[str, LayerParams]
    output: str
    provenance: Provenance

    @model_validator(mode="after")
    def _activations_by_the_contract(self) -> Self:
        for name, params in self.activations.items():
            if (params.dtype, params.axis) != (QuantDType.UINT8, None):
                raise ValueError(f"activations: {name}: expected uint8 with one scale")
        if self.output not in self.activations:
            raise ValueError(f"output: expected one of the activations, found {self.output!r}")
        return self

    def to_json(self) -> str:
        """The content of ``recipe.json``: the same recipe, the same bytes."""
        return self.model_dump_json(indent=1) + "\n"

    @property
    def output_scale(self) -> float:
        """One last bit of the network's output."""
        (scale,) = self.activations[self.output].scale
        return scale

    @property
    def sha256(self) -> str:
        """Digest of ``recipe.json``, by which the artefacts name their recipe."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def make_recipe(
    fused: nn.Module,
    collected: CalibrationResult,
    pretrained: Pretrained,
    config: QuantConfig,
) -> Recipe:
    """Choose every number: ranges by the method, weights and biases by the contract.

    Args:
        fused: The float network after fusion.
        collected: Statistics of its activations.
        pretrained: What the network is and where its weights come from.
        config: The intent.

    Raises:
        InputError: A weight is not finite.
    """
    activations = {
        name: choose_params(statistics, config.method)
        for name, statistics in collected.tensors.items()
    }
    traced = trace(fused)
    inputs = input_names(traced)
    layers = {
        name: _layer_params(name, layer, activations[inputs[name]])
        for name, layer in integer_layers(fused).items()
    }
    return Recipe(
        spec=pretrained.spec,
        config=config,
        activations=activations,
        layers=layers,
        output=source_name(traced, traced.graph.output_node()),
        provenance=Provenance(
            weights=pretrained.source,
            weights_sha256=pretrained.weights_sha256,
            images=collected.images,
            images_sha256=collected.images_sha256,
            threads=collected.threads,
            versions={name: version(name) for name in _COMPUTED_BY},
        ),
    )


def _layer_params(name: str, layer: nn.Conv2d | nn.Linear, source: QuantParams) -> LayerParams:
    weight, bias = float_parameters(layer)
    (input_scale,) = source.scale
    try:
        params = weight_params(weight, bias, input_scale)
    except ValueError as exc:
        raise InputError(f"{name}: {exc}; the checkpoint may be damaged") from exc
    integers = quantize(bias, bias_params(params, input_scale))
    return LayerParams(weight=params, bias=tuple(integers.tolist()))


def read_recipe(path: Path) -> Recipe:
    """Read and check a ``recipe.json``.

    Raises:
        InputError: There is no such file, or its content is no recipe that this version reads.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a recipe.json, found no such file")
    if path.stat().st_size > RECIPE_MAX_BYTES:
        raise InputError(f"{path}: expected at most {RECIPE_MAX_BYTES} bytes, found more")
    return parse_versioned(Recipe, path.read_bytes(), where=str(path), newest=RECIPE_FORMAT_VERSION)


def check_origin(recipe: Recipe, pretrained: Pretrained) -> None:
    """Refuse to combine a recipe with weights that it was not made for.

    Raises:
        InputError: The weights' digest or the network's spec differ.
    """
    origin = recipe.provenance
    if origin.weights_sha256 != pretrained.weights_sha256:
        raise InputError(
            f"{pretrained.source}: expected the weights of the recipe, {origin.weights} "
            f"(SHA-256 {origin.weights_sha256[:12]}...), found "
            f"{pretrained.weights_sha256[:12]}...; give the same file"
        )
    if recipe.spec != pretrained.spec:
        raise InputError(
            f"{pretrained.source}: expected the network of the recipe, "
            f"{recipe.spec.architecture} with its preprocessing and labels, found another"
        )
