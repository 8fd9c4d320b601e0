"""The recipe: with the float weights, it determines every integer of both artefacts.

It holds the intent, the numbers and where they come from, and nothing that differs between two
runs of the same command on the same machine: no time, no path.
"""

import hashlib
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Field,
    InstanceOf,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from eightbit.benchmarks.artifact.metadata import Sha256
from eightbit.benchmarks.artifact.versioned_json import SortedMapping, parse_versioned
from eightbit.calibration import QuantDType, QuantParams
from eightbit.calibration.range_methods import Method
from eightbit.models.bounded_files import read_bounded
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import ChannelOrder, FrozenModel, ModelSpec, PositiveCount
from eightbit.quantize import bundle
from eightbit.quantize.config import QuantConfig, Rounding
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.placement import quantized_tensors
from eightbit.quantize.network.skeleton import Skeleton
from eightbit.quantize.recipe.tables import Int8Table, Tables, read_tables

RECIPE_FORMAT_VERSION: Final = 1

# A ResNet-152 with 100,000 classes stays under this; anything larger is no recipe.
RECIPE_MAX_BYTES: Final = 64 * 2**20

Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class LayerParams(FrozenModel):
    """The integers of one convolution or linear layer.

    Attributes:
        weight: Parameters of the weights, one scale per output channel.
        bias: int32, one per output channel, in units of ``s_x * s_w``.
        protected: Whether the weights' integers are the nearest that do not saturate without VNNI,
            see `calibration.saturation`, rather than the nearest of all.
        rounding: Added to those integers, see `Tables`; None for nothing. Not part of the JSON.
    """

    weight: QuantParams
    bias: tuple[Int32, ...]
    protected: bool = False
    rounding: Annotated[InstanceOf[Int8Table] | None, Field(exclude=True)] = None

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
        weights_key: Which weights of the file, where that was asked for; see `load_pretrained`.
        weights_notes: What was left out of the file, and what was taken for granted.
        channels: What the network was trained on; what was quantized takes red, green, blue.
        images: Number of calibration images.
        images_sha256: Digest of their preprocessed pixels, whatever their order.
        threads: torch's thread count then: float's last bits depend on it.
        versions: Of the libraries that computed the ranges.

    Key and notes are not in the JSON where there are none, nor channels that are RGB.
    """

    weights: str
    weights_sha256: Sha256
    weights_key: str | None = None
    weights_notes: tuple[str, ...] = ()
    channels: Annotated[ChannelOrder, Field(strict=False)] = ChannelOrder.RGB
    images: PositiveCount
    images_sha256: Sha256
    threads: PositiveCount
    versions: SortedMapping[str]

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, serialize: SerializerFunctionWrapHandler) -> Any:
        fields = serialize(self)
        if self.channels is ChannelOrder.RGB:
            del fields["channels"]
        return {
            name: value
            for name, value in fields.items()
            if value or name not in ("weights_key", "weights_notes")
        }


class Decided(FrozenModel):
    """What was done, where the intent says "auto" as well.

    Attributes:
        method: How the ranges of activations were chosen.
        rounding: How weights were rounded: nearest or gptq.
        bias_correction: Whether biases make up for the mean error of their channels.
    """

    method: Annotated[Method, Field(strict=False)]
    rounding: Annotated[Rounding, Field(strict=False)] = Rounding.NEAREST
    bias_correction: bool = False


class Recipe(FrozenModel):
    """Intent, numbers and provenance of one quantized network.

    Attributes:
        skeleton: Its operations, where the spec's architecture does not name them; not in the
            JSON otherwise.
        config: The intent.
        decided: What was done where it leaves a choice.
        activations: Parameters of every quantized activation, by tensor name.
        layers: Integers of every integer convolution and linear layer, by module name.
        float_layers: Convolutions, linear layers and residual adds that compute in float.
        output: Name of the tensor that the network returns.
        exponents: By which channels were rescaled first, see `Tables`. Not part of the JSON.
        tables_sha256: Digest of ``recipe.safetensors``; None without roundings and exponents.
        output_scale: One last bit of the output, in which artefacts are compared: of logits, which
            stay float, a 255th of their calibrated range; of a quantized tensor, its scale.
    """

    format_version: Literal[1] = RECIPE_FORMAT_VERSION
    spec: ModelSpec
    skeleton: Skeleton | None = None
    config: QuantConfig
    decided: Decided
    activations: Mapping[str, QuantParams]
    layers: Mapping[str, LayerParams]
    float_layers: tuple[str, ...] = ()
    output: str
    output_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    exponents: Annotated[Mapping[str, InstanceOf[Int8Table]], Field(exclude=True)] = {}
    tables_sha256: Sha256 | None = None
    provenance: Provenance

    @model_validator(mode="after")
    def _activations_by_the_contract(self) -> Self:
        for name, params in self.activations.items():
            if (params.dtype, params.axis) != (QuantDType.UINT8, None):
                raise ValueError(f"activations: {name}: expected uint8 with one scale")
        for name, layer in self.layers.items():
            if layer.protected != self.config.target.protects_weights:
                raise ValueError(
                    f"layers: {name}: expected protected to be "
                    f"{str(not layer.protected).lower()} for target {self.config.target}"
                )
        for name in self.float_layers:
            if name in self.layers:
                raise ValueError(f"float_layers: {name}: expected no integers, found some")
        return self

    @model_serializer(mode="wrap")
    def _without_an_absent_skeleton(self, serialize: SerializerFunctionWrapHandler) -> Any:
        fields = serialize(self)
        if self.skeleton is None:
            del fields["skeleton"]
        return fields

    def to_json(self) -> str:
        """The content of ``recipe.json``: the same recipe, the same bytes."""
        return self.model_dump_json(indent=1) + "\n"

    @property
    def tables(self) -> Tables:
        """The content of ``recipe.safetensors``."""
        rounding = {
            name: params.rounding
            for name, params in self.layers.items()
            if params.rounding is not None
        }
        return Tables(rounding=rounding, exponents=self.exponents)

    @property
    def sha256(self) -> str:
        """Digest of ``recipe.json``, by which the artefacts name their recipe."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def leave_float(recipe: Recipe, network: Network, names: Collection[str]) -> Recipe:
    """The same recipe with more layers in float, and without the numbers that those do not need.

    ``names``: convolutions, linear layers and residual adds, in addition to those in float already.
    """
    wanted = {*recipe.float_layers, *names}
    # In order of execution, so that the same layers are the same recipe; unknown names stay, for
    # `Quantized` to refuse.
    known = [name for name in network.float_candidates if name in wanted]
    quantized = quantized_tensors(network.graph, wanted)
    partial = recipe.model_copy(
        update={
            "float_layers": (*known, *sorted(wanted - set(known))),
            "activations": {name: recipe.activations[name] for name in quantized},
            "layers": {
                name: params for name, params in recipe.layers.items() if name not in wanted
            },
        }
    )
    # Fewer layers have fewer tables, with another digest.
    return with_tables(partial, partial.tables)


def with_tables(recipe: Recipe, tables: Tables) -> Recipe:
    """The same recipe with other roundings and exponents, and their digest."""
    layers = {
        name: params.model_copy(update={"rounding": tables.rounding.get(name)})
        for name, params in recipe.layers.items()
    }
    update = {"layers": layers, "exponents": tables.exponents, "tables_sha256": tables.sha256}
    return recipe.model_copy(update=update)


def write_recipe(recipe: Recipe, folder: Path) -> None:
    """Write ``recipe.json``, and ``recipe.safetensors`` if there are tables."""
    tables = recipe.tables
    if tables.sha256 != recipe.tables_sha256:
        raise ValueError("write_recipe: expected the digest of its tables; use with_tables")
    (folder / bundle.RECIPE).write_text(recipe.to_json(), encoding="utf-8")
    if tables.sha256 is not None:
        (folder / bundle.TABLES).write_bytes(tables.content)


def read_recipe(path: Path) -> Recipe:
    """Read and check a ``recipe.json``, with the ``recipe.safetensors`` beside it if it names one.

    Raises:
        InputError: There is no such file, or its content is no recipe that this version reads.
    """
    content = read_bounded(path, RECIPE_MAX_BYTES, "a recipe.json")
    recipe = parse_versioned(Recipe, content, where=str(path), newest=RECIPE_FORMAT_VERSION)
    if recipe.tables_sha256 is None:
        return recipe
    beside = path.with_name(bundle.TABLES)
    tables = read_tables(beside, recipe.tables_sha256)
    for name in tables.rounding.keys() - recipe.layers.keys():
        raise InputError(f"{beside}: rounding.{name}: expected a layer of the recipe, found none")
    return with_tables(recipe, tables)


def check_origin(recipe: Recipe, pretrained: Pretrained) -> None:
    """Refuse to combine a recipe with weights that it was not made for.

    Raises:
        InputError: The weights' digest, their place in the file, or the network's spec differ.
    """
    origin = recipe.provenance
    if origin.weights_sha256 != pretrained.weights_sha256:
        raise InputError(
            f"{pretrained.source}: expected the weights of the recipe, {origin.weights} "
            f"(SHA-256 {origin.weights_sha256[:12]}...), found "
            f"{pretrained.weights_sha256[:12]}...; give the same file"
        )
    if origin.weights_key not in (None, pretrained.weights_key):
        key = one_line(origin.weights_key, 60)
        raise InputError(
            f"{pretrained.source}: expected the weights of the recipe, those under {key}, found "
            f"others of the same file; give --weights-key {shlex.quote(key)}, or leave it out"
        )
    if origin.channels is not pretrained.channels:
        raise InputError(
            f"{pretrained.source}: expected the network of the recipe, which takes "
            f"{origin.channels}, found one that takes {pretrained.channels}"
        )
    if recipe.spec != pretrained.spec:
        raise InputError(
            f"{pretrained.source}: expected the network of the recipe, "
            f"{recipe.spec.architecture} with its preprocessing and labels, found another"
        )
