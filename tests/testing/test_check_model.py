"""The conformance kit reports each defect of a model."""

from copy import deepcopy
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete, MultiBinary
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.distributions import Distribution

from gio_pyro import models
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.testing import check_model
from gio_pyro.types import Policy, Spec
from tests.spaces import FINITE, FITTING_MODELS, KINDS

S, A, F = 4, 3, 5
SPEC = Spec(Discrete(S), Discrete(A), Discrete(F))


class Good(PyroModule):
    """A table of logits; each faulty model below spoils one thing."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(S, A, F))

    def prior(self, policy: Policy, state: Tensor) -> Distribution:
        return policy(state)

    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action]

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", self.prior(policy, state))
            return pyro.sample("future", dist.Categorical(logits=self.logits(state, action)), obs=future)


class NoFuture(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", policy(state))


class NoAction(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            return pyro.sample("future", dist.Categorical(logits=self.table[state, 0]), obs=future)


class WrongShape(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action].expand(2, -1, -1)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", dist.Categorical(logits=self.logits(state, action)), obs=future)


class Column(WrongShape):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action][:, None]


class Scalar(WrongShape):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[0, 0]


class Averages(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        own = self.table[state, action]
        return own + own.mean(0)


class Rolls(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action] + self.table[state, action].roll(1, 0)


class Accumulates(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action].cumsum(0)


class Filled(Good):
    """Parameters that are not constant at the start."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        nn.init.normal_(self.table)


class FilledAverages(Filled, Averages):
    pass


class IgnoresObs(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        return super().forward(policy, state, None)


class IgnoresAction(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, 0]


class OwnPrior(Good):
    def prior(self, policy: Policy, state: Tensor) -> Distribution:
        return dist.Categorical(logits=torch.zeros(len(state), A))


class TooManyActions(Good):
    def prior(self, policy: Policy, state: Tensor) -> Distribution:
        return dist.Categorical(logits=torch.zeros(len(state), A + 1))

    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action.clamp_max(A - 1)]


class TooFewFutures(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action][:, :2]


class NotANumber(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action] * torch.nan


class QuietlyNotANumber(Good):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            logits = self.logits(state, action) * torch.nan
            return pyro.sample("future", dist.Categorical(logits=logits, validate_args=False), obs=future)


class NoGradient(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return self.table[state, action].detach()


class Unused(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return torch.zeros(F).expand(len(state), F)


class Raises(Good):
    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        raise RuntimeError("the\nflux capacitor is empty")


class NoSpec(PyroModule):
    def __init__(self) -> None:
        super().__init__()


class NoForward(PyroModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()


FAULTS = [
    (NoFuture, 'to sample the site "future", but'),
    (NoAction, 'to sample the site "action", but'),
    (WrongShape, r'site "future" of WrongShape .*\(2, 7\)'),
    (Column, r'site "future" of Column .*\(7, 1\)'),
    (Scalar, 'site "future" of Scalar .* not vectorised'),
    (FilledAverages, "alone and in a batch"),
    (Averages, "alone and in a batch"),
    (Rolls, "alone and in a batch"),
    (Accumulates, "alone and in a batch"),
    (IgnoresObs, "pass obs=future"),
    (IgnoresAction, "to depend on the action"),
    (OwnPrior, 'to sample "action" from policy'),
    (TooManyActions, '"action"'),
    (TooFewFutures, '"future"'),
    (NotANumber, '"future".*NaN'),
    (QuietlyNotANumber, '"future".*NaN'),
    (NoGradient, 'gradient from the site "future"'),
    (Unused, 'gradient from the site "future"'),
    (Raises, "RuntimeError: the flux capacitor is empty"),
    (NoSpec, r"NoSpec\(spec\)"),
    (NoForward, "NoForward"),
]
every_fault = pytest.mark.parametrize(("program", "fragment"), FAULTS, ids=[p.__name__ for p, _ in FAULTS])


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("sizes", [(4, 3, 5), (7, 7, 7), (16, 4, 16), (9, 1, 9), (300, 4, 300)])
def test_every_model_of_finite_worlds_passes(name: str, sizes: tuple[int, int, int]):
    check_model(getattr(models, name), Spec(*(Discrete(n) for n in sizes)))


@pytest.mark.parametrize(("kind", "name"), FITTING_MODELS)
def test_every_model_of_this_library_passes(kind: str, name: str):
    check_model(getattr(models, name), KINDS[kind])


@pytest.mark.parametrize("name", FINITE)
def test_a_model_of_a_world_with_one_future_passes(name: str):
    check_model(getattr(models, name), Spec(Discrete(1), Discrete(2), Discrete(1)))


@pytest.mark.parametrize("program", [Good, Filled])
def test_a_good_model_passes(program: Any):
    check_model(program, SPEC)


def test_a_good_model_that_was_built_already_passes():
    with pyro.settings.context(module_local_params=True):
        program = Good(SPEC)
    check_model(program, SPEC)


def test_a_good_function_passes():
    def good(policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        table = pyro.param("table", torch.zeros(S, A, F))
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=table[state, action]), obs=future)

    check_model(good, SPEC)


@every_fault
def test_a_fault_is_found(program: Any, fragment: str):
    with pytest.raises(ProgramError, match=fragment):
        check_model(program, SPEC)


@every_fault
def test_a_fault_is_told_in_one_sentence_with_the_program_and_a_next_step(program: Any, fragment: str):
    with pytest.raises(ProgramError) as error:
        check_model(program, SPEC)
    text = str(error.value)
    assert text.startswith("Expected ")
    assert text.endswith(".")
    assert "\n" not in text
    assert program.__name__ in text
    assert "; " in text, "no next step"
    assert len(text) < 300


def test_a_fixed_model_that_ignores_the_action_is_found():
    table = torch.softmax(torch.randn(S, F, generator=torch.Generator().manual_seed(0)), -1)

    def fixed(policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(table[state]), obs=future)

    with pytest.raises(ProgramError, match="to depend on the action"):
        check_model(fixed, SPEC)


def test_a_checked_program_keeps_its_parameters():
    with pyro.settings.context(module_local_params=True):
        program = Filled(SPEC)
    before = deepcopy(program.state_dict())
    check_model(program, SPEC)
    torch.testing.assert_close(program.state_dict(), before)


def test_a_check_draws_no_random_number_and_changes_no_setting():
    before = (torch.get_rng_state().tolist(), pyro.settings.get(), Distribution._validate_args)
    check_model(Good, SPEC)
    with pytest.raises(ProgramError):
        check_model(Raises, SPEC)
    assert (torch.get_rng_state().tolist(), pyro.settings.get(), Distribution._validate_args) == before
    assert list(pyro.get_param_store().keys()) == []


def test_a_check_gives_the_same_answer_without_validation():
    with pyro.validation_enabled(False), pytest.raises(ProgramError, match="alone and in a batch"):
        check_model(FilledAverages, SPEC)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_space_that_is_neither_discrete_nor_a_box_is_refused(position: int):
    spaces: list[Any] = [Discrete(3)] * 3
    spaces[position] = MultiBinary(3)
    name = ("state", "action", "future")[position]
    with pytest.raises(InputError, match=f"Expected a Discrete or Box {name} space, but got MultiBinary.*; take the"):
        check_model(Good, Spec(*spaces))


class SummedEvidence(Filled):
    def evidence(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        return self.table.sum()


class StrangersEvidence(Filled):
    def evidence(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        return torch.zeros(len(state))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (
            SummedEvidence,
            r"^Expected evidence of SummedEvidence to return one number for each of 7 examples, but got sh",
        ),
        (StrangersEvidence, r"^Expected the parameters of StrangersEvidence to get a gradient"),
    ],
)
def test_a_bound_of_its_own_is_checked_too(kind: Any, says: str):
    with pytest.raises(ProgramError, match=says):
        check_model(kind, SPEC)


class OnIce(nn.Module):
    """Each action leads to one of four of 400 futures, or hardly ever anywhere."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(4, 4))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            near = torch.softmax(self.raw[action], -1)
            p = torch.full((len(state), 400), 1e-9).scatter(-1, state[:, None] + torch.arange(4), near)
            return pyro.sample("future", dist.Categorical(p), obs=future)


def test_futures_that_hardly_any_made_up_one_hits_are_no_mistake():
    check_model(OnIce, Spec(Discrete(390), Discrete(4), Discrete(400)))
