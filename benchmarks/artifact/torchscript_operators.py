"""The operators of TorchScript that only compute: what a model's code may ask for.

Classifiers take no others: eightbit's own artefacts, torchvision's, traced, scripted or frozen,
and what torch.ao.quantization makes of them. TorchScript has more than two thousand, some of which
write files (`aten::save`), map them into memory (`aten::from_file`) or call other machines
(`c10d::`, `prim::rpc_async`). An operator is on the list because it computes, not because nothing
is known against it.
"""

from typing import Final

# A name with one underscore behind it is the same operator in place.
_ATEN: Final = """
abs acos adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
adaptive_max_pool2d add addbmm addcdiv addcmul addmm alias all amax amin any arange argmax argmin
argsort asin atan atan2 avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm bernoulli bilinear
bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_tensors broadcast_to cat ceil celu
channel_shuffle chunk clamp clamp_max clamp_min clip clone concat constant_pad_nd contiguous conv1d
conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution copy cos cosh
cosine_similarity cross cumprod cumsum detach diagonal dim dist div divide dot dropout einsum elu
embedding empty empty_like eq equal erf exp exp2 expand expand_as expm1 eye feature_dropout fill
flatten flip floor floor_divide fmod frac full full_like gather ge gelu glu greater greater_equal
grid_sampler group_norm gt hardshrink hardsigmoid hardswish hardtanh im2col index index_add
index_copy index_fill index_put index_select inner instance_norm is_floating_point is_nonzero
isfinite isinf isnan item l1_loss layer_norm le leaky_relu lerp less less_equal linear linspace log
log10 log1p log2 log_sigmoid log_softmax logical_and logical_not logical_or logical_xor logsumexp lt
masked_fill masked_scatter masked_select matmul max max_pool1d max_pool2d max_pool2d_with_indices
max_pool3d maximum mean median meshgrid min minimum mish mm moveaxis movedim mul multiply mv
nan_to_num narrow native_batch_norm native_group_norm native_layer_norm ne neg negative new_empty
new_full new_ones new_zeros nonzero norm normal not_equal numel one_hot ones ones_like outer pad
permute pixel_shuffle pixel_unshuffle pow prelu prod rand rand_like randn randn_like ravel
reciprocal reflection_pad1d reflection_pad2d relu relu6 remainder repeat repeat_interleave
replication_pad1d replication_pad2d reshape reshape_as rms_norm roll rot90 round rrelu rsqrt rsub
scaled_dot_product_attention scatter scatter_add select selu sigmoid sign silu sin sinh size slice
softmax softplus softshrink sort split split_with_sizes sqrt square squeeze stack std std_mean
stride sub subtract sum swapaxes t tan tanh tensor tensor_split threshold tile to to_dense topk
transpose tril triu true_divide trunc type_as unbind unflatten unfold unsafe_chunk unsafe_split
unsqueeze upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
upsample_nearest2d var var_mean view view_as where zero zeros zeros_like

_adaptive_avg_pool2d _convolution _convolution_mode _log_softmax _native_multi_head_attention
_prelu_kernel _scaled_dot_product_flash_attention_for_cpu _shape_as_tensor _softmax
_transform_bias_rescale_qkv _transformer_encoder_layer_fwd _unsafe_view _upsample_bicubic2d_aa
_upsample_bilinear2d_aa _upsample_nearest_exact2d _weight_norm

_add_relu _choose_qparams_per_tensor _empty_affine_quantized _empty_per_channel_affine_quantized
_int_mm _make_per_channel_quantized_tensor _make_per_tensor_quantized_tensor
choose_qparams_optimized dequantize fake_quantize_per_channel_affine fake_quantize_per_tensor_affine
int_repr q_per_channel_axis q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point
qscheme quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic quantized_max_pool2d

Bool Float FloatImplicit Int IntImplicit ScalarImplicit __and__ __contains__ __derive_index
__getitem__ __interpolate __is__ __isnot__ __not__ __or__ __range_length __round_to_zero_floordiv
__upsample __upsample_bilinear __upsample_nearest __xor__ _list_to_tensor _set_item _tensor_to_list
_unwrap_optional append clear cpu device dict element_size endswith extend find floordiv format get
insert is_autocast_cpu_enabled is_autocast_enabled is_contiguous is_grad_enabled is_scripting items
join keys len list lower lstrip ord percentFormat pop popitem remove replace reverse rstrip
setdefault sorted startswith str strip update upper values warn
"""

_PRIM: Final = """
NumToTensor RaiseException abs data device dtype id is_cpu is_cuda is_meta is_mkldnn is_mps
is_nested is_quantized is_sparse is_vulkan is_xla is_xpu itemsize layout max min requires_grad type
unchecked_cast unchecked_unwrap_optional
"""

_QUANTIZED: Final = """
add add_out add_relu add_relu_out add_scalar add_scalar_out add_scalar_relu add_scalar_relu_out
batch_norm batch_norm1d batch_norm1d_relu batch_norm2d batch_norm2d_relu batch_norm_relu cat cat_out
cat_relu cat_relu_out celu clamp conv1d conv1d_prepack conv1d_relu conv1d_unpack conv2d conv2d_add
conv2d_add_relu conv2d_dilation conv2d_dynamic conv2d_groups conv2d_output_padding conv2d_padding
conv2d_prepack conv2d_relu conv2d_stride conv2d_transpose conv2d_unpack conv2d_unpack_sizes
conv_transpose2d conv_transpose2d_prepack conv_transpose2d_unpack conv_unpack dropout elu group_norm
hardswish instance_norm layer_norm leaky_relu linear linear_dynamic linear_dynamic_fp16
linear_leaky_relu linear_prepack linear_prepack_fp16 linear_relu linear_relu_dynamic linear_tanh
linear_unpack linear_unpack_fp16 linear_with_input_q_dq_qweight_dq_output_fp32 matmul max_pool2d mul
mul_out mul_relu mul_relu_out mul_scalar mul_scalar_out mul_scalar_relu prelu relu6 sigmoid softmax
threshold
"""

COMPUTING: Final = frozenset(
    f"{namespace}::{name}"
    for namespace, names in (("aten", _ATEN), ("prim", _PRIM), ("quantized", _QUANTIZED))
    for name in names.split()
)

# Of torch's classes in C++, those that hold quantized weights.
CLASSES: Final = frozenset(
    f"__torch__.torch.classes.quantized.{name}PackedParamsBase"
    for name in ("Conv2d", "Conv3d", "Linear")
)
CLASS_METHODS: Final = frozenset(
    {
        *("bias", "dilation", "groups", "output_padding", "padding", "stride", "transpose"),
        *("unpack", "__getstate__", "__setstate__"),
    }
)

# What the code calls without a namespace in front.
BUILT_IN: Final = frozenset(
    {
        *("annotate", "bool", "complex", "float", "getattr", "int", "isinstance", "range", "str"),
        *("unchecked_cast", "uninitialized"),
    }
)


def computes(operator: str) -> bool:
    """Whether an operator such as "aten::relu_" is on the list."""
    return operator in COMPUTING or (
        operator.endswith("_") and not operator.endswith("__") and operator[:-1] in COMPUTING
    )
