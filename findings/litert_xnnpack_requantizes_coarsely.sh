#!/bin/sh
# LiteRT's XNNPACK moves int8 numbers from one grid to another with a coarse ratio of the scales.
#
# The guess: QUANTIZE from one int8 grid to another gives zero point + step * scale / scale, rounded; only
# ties can go either way. It is how the interpreter's own kernel does it, for all 256 integers.
#
# The behaviour: with XNNPACK, the default, the ratio of the scales is rounded to 256ths. Far from the zero
# point that adds up to half a step to the error: with some ratios every fifth of the 256 integers comes
# out as the second nearest, after ReLU all on one side. Ratios that are 256ths are right.
#
# Versions: ai-edge-litert 2.3.0, flatbuffers 25.12.19, Python 3.11, x86-64.
#
# Why it matters: converters put QUANTIZE before concatenations whose branches have grids of their own;
# there, after ReLU, the largest numbers of a whole branch move one way. The same file gives other
# integers with the delegate than without. A way out: one grid for such branches, written by the
# convolution before, whose ratio XNNPACK does not round so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

KERNELS = {
    "own": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "XNNPACK": OpResolverType.AUTO,
}


def tensor(shape, scale, zero_point):
    made = schema.TensorT()
    made.shape, made.type = list(shape), schema.TensorType.INT8
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale, made.quantization.zeroPoint = [scale], [zero_point]
    return made


def file(shape, x_grid, y_grid):
    """QUANTIZE from the grid of x to that of y, and nothing else."""
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
    operator.builtinOptions = schema.QuantizeOptionsT()
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = 2
    graph = schema.SubGraphT()
    graph.inputs, graph.outputs, graph.operators = [0], [1], [operator]
    graph.tensors = [tensor(shape, *x_grid), tensor(shape, *y_grid)]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [code], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(content, x, kernels):
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=kernels, num_threads=1
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


x = np.arange(-128, 128, dtype=np.int8)[None]
for x_grid, y_grid in (
    ((0.0220, -128), (0.0269, -128)),
    ((0.0116, -128), (0.0107, -128)),
    ((0.0317, -128), (0.0474, -128)),
    ((0.0411, -9), (0.0473, 4)),
    ((0.0200, -128), (0.0320, -128)),
):
    ratio = float(np.float32(x_grid[0])) / float(np.float32(y_grid[0]))
    exact = np.clip(y_grid[1] + (x.astype(np.int64) - x_grid[1]) * ratio, -128, 127)
    content = file(x.shape, x_grid, y_grid)
    print(f"{x_grid} to {y_grid}, a ratio of {ratio * 256:.2f}/256")
    for name, kernels in KERNELS.items():
        off = run(content, x, kernels) - exact
        small, large = (off < -0.501).sum(), (off > 0.501).sum()
        print(f"  {name}: {small} too small, {large} too large, off by {np.abs(off).max():.2f} at most")
PYTHON
cat > "$folder/expected" <<'TEXT'
(0.022, -128) to (0.0269, -128), a ratio of 209.37/256
  own: 0 too small, 0 too large, off by 0.50 at most
  XNNPACK: 47 too small, 0 too large, off by 0.83 at most
(0.0116, -128) to (0.0107, -128), a ratio of 277.53/256
  own: 0 too small, 0 too large, off by 0.50 at most
  XNNPACK: 0 too small, 51 too large, off by 0.91 at most
(0.0317, -128) to (0.0474, -128), a ratio of 171.21/256
  own: 0 too small, 0 too large, off by 0.50 at most
  XNNPACK: 22 too small, 0 too large, off by 0.60 at most
(0.0411, -9) to (0.0473, 4), a ratio of 222.44/256
  own: 0 too small, 0 too large, off by 0.50 at most
  XNNPACK: 15 too small, 13 too large, off by 0.70 at most
(0.02, -128) to (0.032, -128), a ratio of 160.00/256
  own: 0 too small, 0 too large, off by 0.50 at most
  XNNPACK: 0 too small, 0 too large, off by 0.50 at most
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-12-01:
#   (0.022, -128) to (0.0269, -128), a ratio of 209.37/256
#     own: 0 too small, 0 too large, off by 0.50 at most
#     XNNPACK: 47 too small, 0 too large, off by 0.83 at most
#   (0.0116, -128) to (0.0107, -128), a ratio of 277.53/256
#     own: 0 too small, 0 too large, off by 0.50 at most
#     XNNPACK: 0 too small, 51 too large, off by 0.91 at most
#   (0.0317, -128) to (0.0474, -128), a ratio of 171.21/256
#     own: 0 too small, 0 too large, off by 0.50 at most
#     XNNPACK: 22 too small, 0 too large, off by 0.60 at most
#   (0.0411, -9) to (0.0473, 4), a ratio of 222.44/256
#     own: 0 too small, 0 too large, off by 0.50 at most
#     XNNPACK: 15 too small, 13 too large, off by 0.70 at most
#   (0.02, -128) to (0.032, -128), a ratio of 160.00/256
#     own: 0 too small, 0 too large, off by 0.50 at most
#     XNNPACK: 0 too small, 0 too large, off by 0.50 at most
