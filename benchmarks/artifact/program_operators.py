"""The operators of aten that a torch.export program may have: what this project writes."""

from typing import Final

# Compute tensors from tensors and numbers, and nothing else; by name and overload.
COMPUTING: Final = frozenset(
    {
        *("_adaptive_avg_pool2d.default", "abs.default", "adaptive_avg_pool2d.default"),
        *("add.Scalar", "add.Tensor", "amax.default", "amin.default", "avg_pool2d.default"),
        *("batch_norm.default", "bmm.default", "cat.default", "clamp.default"),
        *("constant_pad_nd.default", "conv1d.default", "conv2d.default"),
        *("conv_transpose2d.input", "div.Scalar", "div.Tensor", "elu.default", "erf.default"),
        *("exp.default", "expand.default", "flatten.using_ints", "floor.default", "gelu.default"),
        *("group_norm.default", "hardsigmoid.default", "hardswish.default", "hardtanh.default"),
        *("instance_norm.default", "layer_norm.default", "leaky_relu.default"),
        *("linalg_vector_norm.default", "linear.default", "log.default", "log1p.default"),
        *("log_softmax.int", "matmul.default", "max_pool2d.default", "maximum.default"),
        *("mean.dim", "minimum.default", "mish.default", "mul.Scalar", "mul.Tensor"),
        *("neg.default", "pad.default", "permute.default", "pow.Tensor_Scalar", "prelu.default"),
        *("reciprocal.default", "reflection_pad2d.default", "relu.default", "reshape.default"),
        *("round.default", "rsqrt.default", "rsub.Scalar", "select.int", "sigmoid.default"),
        *("silu.default", "slice.Tensor", "softmax.int", "softplus.default", "sqrt.default"),
        *("sub.Scalar", "sub.Tensor", "sum.dim_IntList", "tanh.default", "to.dtype"),
        *("upsample_nearest2d.vec", "view.default"),
    }
)
