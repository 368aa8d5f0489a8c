"""Tables of the values that were seen in each row."""

import pytest
import torch
from gymnasium.spaces import Discrete
from torch import nn

from gio_pyro import nn as gio_nn
from gio_pyro.errors import InputError
from gio_pyro.guides import BayesGuide, CategoricalGuide
from gio_pyro.inference import Inference, Sleep
from gio_pyro.models import categorical as models
from gio_pyro.nn import SeenValues
from gio_pyro.programs import build_guide, build_model
from gio_pyro.types import Spec, Transitions
from tests.finite import table_policy

STATES, ACTIONS, FUTURES = 6, 2, 70
SPEC = Spec(Discrete(STATES), Discrete(ACTIONS), Discrete(FUTURES))


def test_values_get_places_and_begin_with_the_entry_of_the_others() -> None:
    seen, table = SeenValues(3, 100), nn.Parameter(torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]))
    seen.add(torch.tensor([0, 2, 2, 2, 0]), torch.tensor([7, 50, 9, 50, 7]), table)
    assert seen.values.tolist() == [[7, -1], [-1, -1], [9, 50]]
    assert table.tolist() == [[1.0, 1.0, 0.0], [2.0, 0.0, 0.0], [3.0, 3.0, 3.0]]
    assert seen.place(torch.tensor([0, 2, 2, 1]), torch.tensor([7, 50, 8, 7])).tolist() == [1, 2, 0, 0]
    seen.add(torch.tensor([2]), torch.tensor([1]), table)
    assert seen.values[2].tolist() == [9, 50, 1, -1]
    assert seen.others(torch.tensor([0, 1, 2])).tolist() == [99, 100, 97]


def fitted(dense: bool) -> tuple[torch.Tensor, nn.Module]:
    """Return the channel of a categorical model after Adam's steps on fixed data, first of few and then of more."""
    limit, gio_nn.seen_values.DENSE = gio_nn.seen_values.DENSE, FUTURES if dense else 64
    models.DENSE = gio_nn.seen_values.DENSE
    try:
        model = models.CategoricalModel(SPEC)
    finally:
        models.DENSE = gio_nn.seen_values.DENSE = limit
    generator = torch.Generator().manual_seed(0)
    state, action = (torch.randint(n, (200,), generator=generator) for n in (STATES, ACTIONS))
    future = (state * 11 + torch.randint(3, (200,), generator=generator)) % FUTURES
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, eps=1e-15)
    model.observe(state, action, future)
    for _ in range(200):
        loss = -model._outcome(state, action).log_prob(future).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    row = torch.arange(STATES * ACTIONS)
    return model._outcome(row // ACTIONS, row % ACTIONS).probs.detach(), model


def test_a_model_of_seen_futures_learns_as_the_full_table() -> None:
    full, _ = fitted(dense=True)
    listed, model = fitted(dense=False)
    torch.testing.assert_close(listed, full, rtol=1e-3, atol=1e-6)
    assert model.table.numel() < STATES * ACTIONS * 6


def test_checkpoints_of_full_tables_and_of_any_number_of_places_load() -> None:
    full, dense = fitted(dense=True)
    listed, model = fitted(dense=False)
    for want, saved in ((full, dense), (listed, model)):
        fresh = models.CategoricalModel(SPEC)
        fresh.load_state_dict(saved.state_dict())
        row = torch.arange(STATES * ACTIONS)
        assert torch.equal(fresh._outcome(row // ACTIONS, row % ACTIONS).probs, want)


@pytest.mark.parametrize("guide", [BayesGuide, CategoricalGuide])
def test_a_table_that_was_told_of_no_data_is_refused_instead_of_learning_nothing(guide: type[nn.Module]) -> None:
    uniform, first = table_policy(torch.full((STATES, ACTIONS), 1 / ACTIONS)), torch.zeros(1, dtype=torch.long)
    model = build_model(models.CategoricalModel, SPEC, uniform, first)
    fit = Inference(model, build_guide(guide, SPEC, model, uniform, first), Sleep(1), learning_rate=0.1)
    n, no = torch.arange(4), torch.zeros(4, dtype=torch.bool)
    rows = Transitions(n, n % ACTIONS, n.float(), n, no, no, n.float(), n.float())
    with pytest.raises(InputError, match=r"^Expected data in the table of CategoricalModel before its first gradient"):
        fit.step(uniform, rows, n + 3)
    model.observe(rows.state, rows.action, n + 3)
    if guide is CategoricalGuide:
        with pytest.raises(InputError, match=r"^Expected data in the table of CategoricalGuide before"):
            fit.step(uniform, rows, n + 3)
        fit.guide.observe(rows.state, rows.action, n + 3)
    assert fit.step(uniform, rows, n + 3)["dynamics_nats"] < 0
