"""Writes LiteRT graphs: tensors, their grids, the operators between them, and the file of it all.

LiteRT computes in int8 where the recipe says uint8: both are moved by 128, zero points too. Images
are NHWC, weights OHWI, as its kernels take them. Its schema and the writing of FlatBuffers come
with the package ``ai-edge-litert``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from eightbit.benchmarks.artifact.litert_file import IDENTIFIER, METADATA_NAME, SIGNED
from eightbit.calibration import QuantDType, QuantParams

Operator: Final = schema.BuiltinOperator
Kind: Final = schema.TensorType
Shape = tuple[int, ...]

_SCHEMA_VERSION: Final = 3
# What the schema demands of the data behind tensors.
_ALIGNMENT: Final = 16
# The field of old readers, who find this number there where the operator's own is larger.
_OLD_CODES: Final = 127

_KINDS: Final = {
    np.dtype(np.float32): Kind.FLOAT32,
    np.dtype(np.int8): Kind.INT8,
    np.dtype(np.uint8): Kind.UINT8,
    np.dtype(np.int32): Kind.INT32,
}

# The first version of each operator that has what is written here, where that is not 1.
_VERSIONS: Final = {
    Operator.ADD: 2,
    Operator.CONCATENATION: 2,
    Operator.CONV_2D: 3,
    Operator.DEPTHWISE_CONV_2D: 3,
    Operator.DEQUANTIZE: 5,
    Operator.FULLY_CONNECTED: 12,  # older ones know one scale for all channels
    Operator.MAX_POOL_2D: 2,
    Operator.MAXIMUM: 2,
    Operator.MEAN: 2,
    Operator.MIRROR_PAD: 2,
    Operator.MUL: 2,
    Operator.PAD: 2,
    Operator.PADV2: 2,
    Operator.QUANTIZE: 2,
    Operator.RESIZE_NEAREST_NEIGHBOR: 2,
    Operator.STRIDED_SLICE: 2,
    Operator.TRANSPOSE: 2,
}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        index: In the graph.
        shape: Of one image, with a first dimension of 1; images are NHWC.
        params: Its grid, in the recipe's uint8; None for real numbers.
    """

    index: int
    shape: Shape
    params: QuantParams | None = None


class GraphWriter:
    """Collects tensors and operators."""

    def __init__(self) -> None:
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [_Data()]  # the first stands for no data, by the schema
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}
        self._constants: dict[str, int] = {}

    def tensor(self, name: str, shape: Shape, params: QuantParams | None = None) -> Tensor:
        """Add a tensor that an operator gives: int8 on a grid, or float32."""
        kind = Kind.FLOAT32 if params is None else Kind.INT8
        return Tensor(
            index=self._add(name, (1, *shape[1:]), kind, signature=[-1, *shape[1:]], params=params),
            shape=(1, *shape[1:]),
            params=params,
        )

    def fixed_tensor(self, name: str, shape: Shape) -> Tensor:
        """Add a float32 tensor that an operator gives whatever the images are."""
        return Tensor(index=self._add(name, shape, Kind.FLOAT32), shape=shape)

    def image(self, name: str, shape: Shape, dtype: str) -> Tensor:
        """Add the tensor of the images, which is not the operators'."""
        kind = _KINDS[np.dtype(dtype)]
        return Tensor(index=self._add(name, shape, kind, signature=[-1, *shape[1:]]), shape=shape)

    def constant(
        self, name: str, array: npt.NDArray[Any], params: QuantParams | None = None, axis: int = 0
    ) -> Tensor:
        """Add a constant, once if it is named again; its scales are of the channels of an axis."""
        if name not in self._constants:
            self._buffers.append(_Data(array))
            kind = _KINDS[array.dtype]
            index = self._add(name, array.shape, kind, params=params, axis=axis)
            self._tensors[index].buffer = len(self._buffers) - 1
            self._constants[name] = index
        return Tensor(index=self._constants[name], shape=array.shape)

    def _add(
        self,
        name: str,
        shape: Shape,
        kind: int,
        *,
        signature: list[int] | None = None,
        params: QuantParams | None = None,
        axis: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.type, tensor.hasRank = name, kind, True
        tensor.shape, tensor.shapeSignature = list(shape), signature
        if params is not None:
            moved = SIGNED if params.dtype is QuantDType.UINT8 else 0
            grid = tensor.quantization = schema.QuantizationParametersT()
            grid.scale = np.array(params.scale, np.float32)
            grid.zeroPoint = np.array(params.zero_point, np.int64) + moved
            grid.quantizedDimension = axis
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operator(
        self, code: int, inputs: Sequence[Tensor], output: Tensor, options: Any = None
    ) -> Tensor:
        """Append an operator; returns its output."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.inputs = [tensor.index for tensor in inputs]
        operator.outputs = [output.index]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def rename(self, tensor: Tensor, name: str) -> None:
        """Give a tensor another name."""
        self._tensors[tensor.index].name = name

    def file(self, name: str, image: Tensor, output: Tensor, metadata: str) -> bytes:
        """The finished file, from images to an output, with what it says of itself."""
        graph = schema.SubGraphT()
        graph.name = name
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = [image.index], [output.index]
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA_NAME, len(self._buffers)
        document = np.frombuffer(metadata.encode(), np.uint8)
        model = schema.ModelT()
        model.version, model.description = _SCHEMA_VERSION, "eightbit"
        model.operatorCodes = [_code(code) for code in self._codes]
        model.subgraphs, model.metadata = [graph], [entry]
        model.buffers = [*self._buffers, _Data(document)]
        model.signatureDefs = [_signature(self._tensors, image, output)]
        builder = flatbuffers.Builder(0)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())


class _Data(schema.BufferT):  # type: ignore[misc]
    """The bytes behind a tensor, at an address that kernels may read whole vectors from."""

    def __init__(self, array: npt.NDArray[Any] | None = None) -> None:
        super().__init__()
        self.data = None if array is None else np.frombuffer(array.tobytes(), np.uint8)

    def Pack(self, builder: flatbuffers.Builder) -> Any:  # noqa: N802  (the schema's name)
        if self.data is not None:
            builder.Prep(_ALIGNMENT, self.data.nbytes)
        return super().Pack(builder)


def _code(code: int) -> Any:
    entry = schema.OperatorCodeT()
    entry.builtinCode, entry.version = code, _VERSIONS.get(code, 1)
    entry.deprecatedBuiltinCode = min(code, _OLD_CODES)
    return entry


def _signature(tensors: Sequence[Any], image: Tensor, output: Tensor) -> Any:
    """Names by which an interpreter finds input and output."""
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs, signature.outputs = (
        [_named(tensors[tensor.index].name, tensor.index)] for tensor in (image, output)
    )
    return signature


def _named(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
