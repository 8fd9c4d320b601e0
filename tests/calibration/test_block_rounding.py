"""Rounding block by block: a case worked out by hand, and what holds for any weights."""

import torch

from eightbit.calibration.block_rounding import _unit_factor, damped_hessian, round_blocks


def block(*columns: list[float]) -> torch.Tensor:
    """One block of inputs, one row of outputs for each: shape (1, B, O)."""
    return torch.tensor([list(column) for column in columns])


def between(real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return real.floor(), real.ceil()


def cost(errors: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
    """``e H e^T`` of every output, summed over blocks: shape (O,)."""
    return (errors * (hessian @ errors)).sum((0, 1))


def test_the_second_weight_makes_up_for_the_first() -> None:
    # H = [[1, 1/2], [1/2, 1]] = M D M^T with M = [[1, 1/2], [0, 1]] and D = diag(3/4, 1).
    hessian = torch.tensor([[[1.0, 0.5], [0.5, 1.0]]])
    # Output 0: 0.4 becomes 0, an error of 0.4; then 0.4 + 0.4 / 2 = 0.6 becomes 1.
    # Output 1: 2.6 becomes 3, an error of -0.4; then -0.6 - 0.4 / 2 = -0.8 becomes -1.
    # Output 2: 1.4 becomes 1, an error of 0.4; then -0.9 + 0.4 / 2 = -0.7 becomes -1.
    real = torch.tensor([[[0.4, 2.6, 1.4], [0.4, -0.6, -0.9]]])
    chosen = round_blocks(real, *between(real), hessian)
    assert chosen.tolist() == [[[0.0, 3.0, 1.0], [1.0, -1.0, -1.0]]]
    # The first would have become (0, 0) by itself: cost 0.48 instead of 0.28.
    (first, *_) = cost(real - chosen, hessian).tolist()
    assert abs(first - 0.28) < 1e-6


def test_bounds_hold_and_their_errors_are_made_up_for() -> None:
    hessian = torch.ones(1, 2, 2) + 0.01 * torch.eye(2)
    real = torch.tensor([[[60.9], [7.0]]])
    # The first may not be 61: the second has its 0.9, and an integer above it.
    low, high = torch.tensor([[[60.0], [7.0]]]), torch.tensor([[[60.0], [8.0]]])
    assert round_blocks(real, low, high, hessian).flatten().tolist() == [60.0, 8.0]


def test_a_factor_is_triangular_with_ones_and_gives_the_hessian_back() -> None:
    torch.manual_seed(0)
    hessian = damped_hessian(torch.rand(3, 50, 21))
    factor = _unit_factor(hessian)
    assert torch.equal(factor, factor.triu())
    assert torch.equal(factor.diagonal(dim1=1, dim2=2), torch.ones(3, 21))
    scaled = torch.linalg.solve_triangular(factor, hessian, upper=True)
    rows = torch.linalg.solve_triangular(factor, scaled.mT, upper=True)
    diagonal = torch.diag_embed(rows.diagonal(dim1=1, dim2=2))
    torch.testing.assert_close(factor @ diagonal @ factor.mT, hessian)


def test_weights_of_uncorrelated_inputs_are_rounded_to_nearest() -> None:
    real = torch.linspace(-3, 3, 80).reshape(2, 20, 2)
    assert torch.equal(
        round_blocks(real, *between(real), torch.eye(20).repeat(2, 1, 1)), real.round()
    )


def test_inputs_that_are_zero_everywhere_do_no_harm() -> None:
    real = torch.linspace(-3, 3, 80).reshape(2, 20, 2)
    hessian = damped_hessian(torch.zeros(2, 5, 20))
    assert torch.equal(round_blocks(real, *between(real), hessian), real.round())


def test_a_block_costs_less_than_with_the_nearest_integers() -> None:
    torch.manual_seed(0)
    # Positive and alike, as behind a ReLU; more rows than are rounded in one step.
    inputs = (torch.randn(4, 300, 1) + 0.5 * torch.randn(4, 300, 37)).relu()
    hessian = damped_hessian(inputs)
    real = 20 * torch.randn(4, 37, 16)
    chosen = round_blocks(real, *between(real), hessian)
    assert ((chosen - real).abs() < 1).all()
    seen = inputs.mT @ inputs
    assert cost(real - chosen, seen).mean() < 0.7 * cost(real - real.round(), seen).mean()


def test_blocks_do_not_hear_of_each_other() -> None:
    torch.manual_seed(0)
    hessian = damped_hessian(torch.rand(3, 40, 12))
    real = torch.randn(3, 12, 5)
    together = round_blocks(real, *between(real), hessian)
    for index in range(3):
        alone = real[index : index + 1]
        chosen = round_blocks(alone, *between(alone), hessian[index : index + 1])
        assert torch.equal(chosen[0], together[index])
