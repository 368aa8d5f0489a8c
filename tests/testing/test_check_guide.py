"""The conformance kit reports each defect of a guide."""

from copy import deepcopy
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Dict, Discrete
from pyro.nn import PyroModule
from torch import Tensor, nn

from gio_pyro import guides, models
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.models import CategoricalModel
from gio_pyro.testing import check_guide
from gio_pyro.types import Policy, Spec
from tests.spaces import FINITE, FITTING_GUIDES, GUIDES, KINDS

S, A, F = 4, 3, 5
SPEC = Spec(Discrete(S), Discrete(A), Discrete(F))


class Good(PyroModule):
    """A table of logits; each faulty guide below spoils one thing."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(S, F, A))

    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future]

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", dist.Categorical(logits=self.logits(state, future)))


class NoPlate(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        return pyro.sample("action", dist.Categorical(logits=self.logits(state, future)))


class NoAction(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        return pyro.sample("latent", dist.Categorical(logits=self.logits(state, future)))


class ExtraSite(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        pyro.sample("latent", dist.Normal(0.0, 1.0))
        return super().forward(policy, state, future)


class WrongShape(NoPlate):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future].expand(2, -1, -1)


class Column(NoPlate):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future][:, None]


class Scalar(NoPlate):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[0, 0]


class Averages(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        own = self.table[state, future]
        return own + own.mean(0)


class Filled(Good):
    """Parameters that are not constant at the start."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        nn.init.normal_(self.table)


class FilledAverages(Filled, Averages):
    pass


class Accumulates(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future].cumsum(0)


class IgnoresFuture(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, 0]


class NotANumber(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future] * torch.nan


class QuietlyNotANumber(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            logits = self.table[state, future] * torch.nan
            return pyro.sample("action", dist.Categorical(logits=logits, validate_args=False))


class NoGradient(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future].detach()


class BrokenGradient(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future] + (self.table[state, future] * 0.0).sqrt()


class TooManyActions(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        own = self.table[state, future]
        return torch.cat([own, own], -1)


class TooFewActions(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.table[state, future][:, :2]


class Continuous(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", dist.Normal(self.table[state, future, 0], 1.0))


class Raises(Good):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        raise RuntimeError("the\nflux capacitor is empty")


class NoSpec(PyroModule):
    def __init__(self) -> None:
        super().__init__()


FAULTS = [
    (NoAction, 'to sample the site "action", but it samples "latent"'),
    (ExtraSite, 'to sample the site "latent"'),
    (WrongShape, r'site "action" of WrongShape .*\(2, 7\)'),
    (Column, r'site "action" of Column .*\(7, 1\)'),
    (Scalar, 'site "action" of Scalar .* not vectorised'),
    (FilledAverages, "alone and in a batch"),
    (Averages, "alone and in a batch"),
    (Accumulates, "alone and in a batch"),
    (IgnoresFuture, "to depend on the future"),
    (NotANumber, '"action".*NaN'),
    (QuietlyNotANumber, '"action".*NaN'),
    (NoGradient, 'gradient from the site "action"'),
    (BrokenGradient, 'finite gradients from the site "action"'),
    (TooManyActions, "over the integers 0 to 2"),
    (TooFewActions, "over the integers 0 to 2"),
    (Continuous, "over the integers 0 to 2"),
    (Raises, "RuntimeError: the flux capacitor is empty"),
    (NoSpec, r"NoSpec\(spec\)"),
]
every_fault = pytest.mark.parametrize(("program", "fragment"), FAULTS, ids=[p.__name__ for p, _ in FAULTS])


@pytest.mark.parametrize("model", FINITE)
@pytest.mark.parametrize("name", GUIDES["finite"])
@pytest.mark.parametrize("sizes", [(4, 3, 5), (7, 7, 7), (16, 4, 16), (3, 2, 1), (300, 4, 300)])
def test_every_guide_of_finite_worlds_passes_beside_every_model(name: str, model: str, sizes: tuple[int, ...]):
    check_guide(getattr(guides, name), getattr(models, model), Spec(*(Discrete(n) for n in sizes)))


@pytest.mark.parametrize(("kind", "model", "name"), FITTING_GUIDES)
def test_every_guide_of_this_library_passes(kind: str, model: str, name: str):
    check_guide(getattr(guides, name), getattr(models, model), KINDS[kind])


@pytest.mark.parametrize("program", [Good, Filled, NoPlate])
def test_a_good_guide_passes(program: Any):
    check_guide(program, CategoricalModel, SPEC)


@every_fault
def test_a_fault_is_found(program: Any, fragment: str):
    with pytest.raises(ProgramError, match=fragment):
        check_guide(program, CategoricalModel, SPEC)


@every_fault
def test_a_fault_is_told_in_one_sentence_with_the_program_and_a_next_step(program: Any, fragment: str):
    with pytest.raises(ProgramError) as error:
        check_guide(program, CategoricalModel, SPEC)
    text = str(error.value)
    assert text.startswith("Expected ")
    assert text.endswith(".")
    assert "\n" not in text
    assert program.__name__ in text
    assert "; " in text, "no next step"
    assert len(text) < 300


def test_a_guide_that_ignores_the_future_on_purpose_passes():
    class Prior(IgnoresFuture):
        ignores_future = True

    check_guide(Prior, CategoricalModel, SPEC)


def test_a_checked_guide_and_its_model_keep_their_parameters():
    with pyro.settings.context(module_local_params=True):
        guide, model = Filled(SPEC), CategoricalModel(SPEC)
    before = deepcopy((guide.state_dict(), model.state_dict()))
    check_guide(guide, model, SPEC)
    torch.testing.assert_close((guide.state_dict(), model.state_dict()), before)


def test_a_faulty_model_is_named_and_not_the_guide():
    def broken(policy: Policy, state: Tensor, future: Tensor | None = None) -> None:
        return None

    with pytest.raises(ProgramError, match='Expected broken to sample the site "action"'):
        check_guide(Good, broken, SPEC)


def test_a_check_draws_no_random_number():
    before = torch.get_rng_state()
    check_guide(Good, CategoricalModel, SPEC)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_space_that_is_neither_discrete_nor_a_box_is_refused():
    with pytest.raises(InputError, match="Expected a Discrete or Box action space, but got Dict"):
        check_guide(Good, CategoricalModel, Spec(Discrete(3), Dict({"a": Discrete(3)}), Discrete(3)))
