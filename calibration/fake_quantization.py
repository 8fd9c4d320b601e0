"""The contract on torch tensors: what rounding to integers and back does to real numbers."""

import torch

from eightbit.calibration.qparams import QuantParams


def fake_quantize(x: torch.Tensor, params: QuantParams) -> torch.Tensor:
    """``(clamp(round_half_even(x / s) + z) - z) * s`` in float32; same shape as ``x``.

    The quotient is rounded to float32 before it is rounded to an integer, so an element within
    1e-7 of a tie may fall to the other side than in `quantize`. torch has an operator of this
    name; on CPU it takes thirty times as long (2.13: 12 against 0.35 ns per element).

    Args:
        x: float32.
        params: One scale for the whole tensor, or symmetric ones per channel.
    """
    if params.axis is None:
        scale: float | torch.Tensor = params.scale[0]
    else:
        shape = [1] * x.dim()
        shape[params.axis] = -1
        scale = torch.tensor(params.scale, dtype=torch.float32).reshape(shape)
    # The contract's per-channel parameters have one zero point: 0.
    zero_point = params.zero_point[0]
    q = (x / scale).round_()
    return q.clamp_(params.dtype.qmin - zero_point, params.dtype.qmax - zero_point).mul_(scale)
