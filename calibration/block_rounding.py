"""Rounding weights so that their errors cancel in what they compute, block by block.

Rounding each weight to the nearest integer is best only if inputs are uncorrelated. Here the
inputs of a layer are cut into blocks, and in each block weights are rounded one after the other,
each making up for the errors of those before it: GPTQ (Frantar et al., arXiv:2210.17323), which is
Babai's nearest plane algorithm (arXiv:2507.18553), with a Hessian that is zero between blocks: the
full one takes many times as long and gains some tenths of a decibel at most (docs/decisions.md).
"""

from typing import Final

import torch

# Weights that are rounded before their errors are added to those behind them in the block: one
# matrix product for all is faster than single sums.
_STEP: Final = 8

# Added to the Hessian's diagonal, as a part of its mean in the block, or in all blocks where that
# is more. Ten times GPTQ's default: it has as many tokens as it wants, this a few images.
_DAMPING: Final = 0.1


def round_blocks(
    real: torch.Tensor, low: torch.Tensor, high: torch.Tensor, hessian: torch.Tensor
) -> torch.Tensor:
    """Integers between two bounds that keep the sums of each block close to those of real weights.

    With the Hessian ``H = M D M^T``, M upper triangular with ones and D diagonal, errors ``e`` of
    the weights cost ``e H e^T``, the sum of ``D_j (e M)_j^2``. Weight j is the last to enter
    ``(e M)_j`` and is chosen to make it small.

    Args:
        real: Weights in units of their scales: float32, shape (blocks, B, O), B inputs, O outputs.
        low: The least integers allowed, same shape.
        high: The largest integers allowed, same shape.
        hessian: Mean products of the inputs, positive definite: float32, shape (blocks, B, B).
    """
    factor = _unit_factor(hessian)
    chosen, errors = torch.empty_like(real), torch.empty_like(real)
    for start in range(0, real.shape[1], _STEP):
        stop = min(start + _STEP, real.shape[1])
        wanted = torch.baddbmm(
            real[:, start:stop], factor[:, :start, start:stop].mT, errors[:, :start]
        )
        for row in range(start, stop):
            integers = chosen[:, row]
            torch.round(wanted[:, row - start], out=integers)
            torch.clamp(integers, low[:, row], high[:, row], out=integers)
            torch.sub(real[:, row], integers, out=errors[:, row])
            if row + 1 < stop:
                wanted[:, row + 1 - start :].baddbmm_(
                    factor[:, row : row + 1, row + 1 : stop].mT, errors[:, row : row + 1]
                )
    return chosen


def damped_hessian(inputs: torch.Tensor) -> torch.Tensor:
    """Mean products of the inputs, damped until positive definite: float32, shape (blocks, B, B).

    ``inputs`` are float32, shape (blocks, positions, B).
    """
    hessian = inputs.mT @ inputs / inputs.shape[1]
    energy = hessian.diagonal(dim1=1, dim2=2)
    damping = _DAMPING * torch.maximum(energy.mean(1, keepdim=True), energy.mean())
    # Inputs that are zero everywhere leave a Hessian of zeros: then all are rounded to nearest.
    energy += damping.clamp(min=torch.finfo(torch.float32).tiny)
    return hessian


def _unit_factor(hessian: torch.Tensor) -> torch.Tensor:
    """Upper triangular M with ones on the diagonal, so that ``M D M^T`` is the Hessian."""
    # Cholesky's factor is lower triangular; turned around, rows and columns, it is an upper one.
    upper: torch.Tensor = torch.linalg.cholesky(hessian.flip(1, 2)).flip(1, 2)
    return upper / upper.diagonal(dim1=1, dim2=2).unsqueeze(1)
