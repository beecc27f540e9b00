"""TabNet against closed forms and against Qlib's, which others wrote, with the same weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from qlib.contrib.model.pytorch_tabnet import SparsemaxFunction, TabNet
from torch import nn

from quant_pipeline.models.algorithms.networks import TabNetHyper
from quant_pipeline.models.networks.losses import mean_squared_error
from quant_pipeline.models.networks.tabular import GhostNorm, sparsemax, sparsemax_of_sorted

FACTORS, ROWS = 6, 40
SIZE = {"decision": 4, "attention": 3, "shared": 2, "own": 2, "ghost_rows": 8}
LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=9)


@pytest.fixture
def make_network():
    def make(**hyper):
        torch.manual_seed(3)
        return TabNetHyper(**{**SIZE, **hyper}).make_network(FACTORS)

    return make


@pytest.fixture
def rows():
    return torch.randn(ROWS, FACTORS, generator=torch.Generator().manual_seed(4))


@given(LOGITS)
def test_sparsemax_is_the_point_of_the_simplex_that_its_optimality_conditions_name(logits):
    logits = torch.tensor(logits, dtype=torch.float64)
    parts = sparsemax(logits)
    assert float(parts.sum()) == pytest.approx(1)
    assert (parts >= 0).all()
    # The nearest point lies below the logits by one distance where it is positive, and by no more where it is zero.
    gap = logits - parts
    inside = parts > 0
    assert float(gap[inside].max() - gap[inside].min()) == pytest.approx(0, abs=1e-9)
    assert (gap[~inside] <= gap[inside].max() + 1e-9).all()


def test_sparsemax_of_two_has_its_closed_form():
    """``sparsemax([t, 0])`` is a ramp from 0 to 1 between -1 and 1 (Martins, Astudillo, 2016, equation 8)."""
    steps = torch.linspace(-2, 2, 41)
    parts = sparsemax(torch.stack([steps, torch.zeros_like(steps)], dim=-1))
    torch.testing.assert_close(parts[:, 0], ((steps + 1) / 2).clamp(0, 1))


def test_sparsemax_and_its_slope_are_those_of_qlib():
    ours, theirs = (torch.randn(30, 7, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    weights = torch.arange(7.0)
    (sparsemax(ours) * weights).sum().backward()
    (SparsemaxFunction.apply(theirs.clone()) * weights).sum().backward()
    torch.testing.assert_close(sparsemax(ours), SparsemaxFunction.apply(theirs.clone()))
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_sparsemax_and_its_slope_have_the_bits_of_the_operations_of_torch():
    logits, weights = torch.randn(2, 500, 37, generator=torch.Generator().manual_seed(1))
    logits[0], logits[1, :5] = 0.0, 3.0  # All logits of a row are one, and some of them.
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    parts = sparsemax(ours)
    expected = sparsemax_of_sorted(theirs, torch.sort(theirs, dim=-1, descending=True).values).parts
    (parts * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(parts, expected)
    assert torch.equal(ours.grad, theirs.grad)


def _with_the_weights_of(ours):
    """Qlib's network of one choice with the weights of ours; it hands no choices on, so more steps would differ."""
    theirs = TabNet(FACTORS, 1, n_d=4, n_a=3, n_shared=2, n_ind=2, n_steps=2, relax=1.3, vbs=8)
    pairs = [
        (theirs.bn, ours.entry),
        (theirs.fc, ours.head),
        (theirs.steps[0].atten_tran.fc, ours.choices[0].linear),
        (theirs.steps[0].atten_tran.bn.bn, ours.choices[0].norm.norm),
        *zip(theirs.shared, ours.shared, strict=True),
    ]
    for part, own in ((theirs.first_step, ours.first), (theirs.steps[0].fea_tran, ours.transformers[0])):
        pairs += [(glu.fc, linear) for glu, linear in zip(part.independ, own.own, strict=True)]
        pairs += [(glu.bn.bn, norm.norm) for glu, norm in zip([*part.shared, *part.independ], own.norms, strict=True)]
    for target, source in pairs:
        target.load_state_dict({"bias": torch.zeros_like(target.bias)} | source.state_dict())
    return theirs


def test_a_network_of_one_choice_scores_and_chooses_as_the_one_of_qlib(make_network, rows):
    ours = make_network(steps=1)
    ours.train()
    for _ in range(3):
        ours.score_rows(rows)  # Running means and variances that are not those of the beginning.
    ours.eval()
    theirs = _with_the_weights_of(ours).eval()
    with torch.no_grad():
        expected, entropy = theirs(rows, torch.ones_like(rows))
        scores, masks = ours.score_rows(rows)
    torch.testing.assert_close(scores, expected[:, 0])
    torch.testing.assert_close(-(masks[0] * torch.log(masks[0] + 1e-10)).mean(), entropy)


@pytest.mark.parametrize(("relaxation", "chosen_again"), [(1.0, False), (3.0, True)])
def test_a_factor_is_chosen_again_only_where_that_is_allowed(relaxation, chosen_again, make_network, rows):
    network = make_network(steps=3, relaxation=relaxation).eval()
    for choice in network.choices:
        torch.nn.init.constant_(choice.norm.norm.weight, 100.0)  # Sharp choices: one factor per row and step.
    network.choices[1].load_state_dict(network.choices[0].state_dict())
    with torch.no_grad():
        _, masks = network.score_rows(rows)
    torch.testing.assert_close(masks.sum(dim=-1), torch.ones(3, ROWS))
    wholly = masks[0] == 1
    assert wholly.sum() > ROWS / 2
    assert bool((masks[1][wholly] > 0.5).any()) == chosen_again


def test_only_rows_with_a_label_are_learned_from_and_normalised(make_network):
    block = torch.randn(4, 10, FACTORS, generator=torch.Generator().manual_seed(5))
    labels = torch.randn(4, 10, generator=torch.Generator().manual_seed(6))
    labels[:, 7:] = torch.nan
    other = block.clone()
    other[:, 7:] = 1e6
    first, second = make_network().train(), make_network().train()
    losses = [network.loss(given, labels, mean_squared_error) for network, given in ((first, block), (second, other))]
    assert float(losses[0].detach()) == float(losses[1].detach())
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    lonely = labels.clone()
    lonely[:] = torch.nan
    lonely[1, 2] = 0.5
    assert torch.isfinite(first.loss(block, lonely, mean_squared_error))


def test_sparsity_weighs_the_entropy_of_the_choices(make_network):
    block, labels = torch.randn(3, 9, FACTORS), torch.randn(3, 9)
    with torch.no_grad():
        plain, weighted = (
            make_network(sparsity=weight).eval().loss(block, labels, mean_squared_error) for weight in (0.0, 2.0)
        )
        _, masks = make_network().eval().score_rows(block.flatten(0, 1))
    entropy = -(masks.numpy() * np.log(masks.numpy() + 1e-10)).sum(axis=-1).mean()
    assert float(weighted - plain) == pytest.approx(2 * entropy, rel=1e-4)


def test_ghosts_are_normalised_apart():
    norm, values = GhostNorm(1, rows=2).train(), torch.tensor([[0.0], [2.0], [10.0], [14.0]])
    torch.testing.assert_close(norm(values).detach(), torch.tensor([[-1.0], [1.0], [-1.0], [1.0]]), rtol=1e-4, atol=0)
    assert isinstance(norm.norm, nn.BatchNorm1d)


def test_ghosts_share_the_rows_that_are_left_over_and_their_gradients_are_put_together_once():
    norm, values = GhostNorm(2, rows=3).train(), torch.randn(11, 2).requires_grad_()
    found = norm(values)
    expected = torch.cat(
        [nn.functional.batch_norm(part, None, None, training=True) for part in values.split([4, 4, 3])]
    )
    torch.testing.assert_close(found, expected)
    ghosts = [norm_of for norm_of, _ in found.grad_fn.next_functions]
    assert len({ghost.next_functions[0][0] for ghost in ghosts}) == 1
