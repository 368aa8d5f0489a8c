"""The conformance kit reports each defect of a world model and of a filter."""

from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import Tensor, nn

import gio_pyro as gio
from gio_pyro import guides, models
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.testing import check_filter, check_world_model
from gio_pyro.types import Seen, WorldSpec

D, P, A = 5, 2, 3
REAL = Box(-np.inf, np.inf, (P,), np.float32)
SPEC = WorldSpec(REAL, Discrete(A), (8,))


class World(nn.Module):
    """A state of one number; each faulty world below spoils one thing."""

    belief_size = D
    filter: Any = None

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(1))
        self.moved = nn.Parameter(torch.zeros(A, 1))
        self.net = nn.Linear(D, 1)
        self.out = nn.Linear(1, P)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen | None = None) -> None:
        with pyro.plate("batch", len(belief)):
            z = self.state(belief, action)
            self.observe_it(z, action, seen)
            if action is not None:
                self.rest(belief, z, seen)

    def state(self, belief: Tensor, action: Tensor | None) -> Tensor:
        mean = self.first.expand(len(belief), -1) if action is None else self.net(belief) + self.moved[action]
        return pyro.sample("state", dist.Normal(mean, 1.0).to_event(1))

    def observe_it(self, z: Tensor, action: Tensor | None, seen: Seen | None) -> None:
        x = dist.Normal(self.out(z), 1.0).to_event(1)
        pyro.sample("observation", x, obs=None if seen is None else seen.observation)

    def rest(self, belief: Tensor, z: Tensor, seen: Seen | None) -> None:
        pyro.sample("reward", dist.Normal(z[..., 0], 1.0), obs=None if seen is None else seen.reward)
        ended = None if seen is None or seen.terminated is None else seen.terminated.to(z)
        pyro.sample("terminated", dist.Bernoulli(logits=z[..., 0]), obs=ended)


class Filter(nn.Module):
    """A recurrent filter; each faulty one below spoils one thing."""

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        self.held = (spec.world_model,)
        self.cell = nn.GRUCell(P + A + 1, D)
        self.net = nn.Linear(D, 2)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Any:
        after = self.after(belief, action, seen)
        with pyro.plate("batch", len(belief)):
            pyro.sample("state", self.posterior(after))
        return self.returned(after)

    def after(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        done = torch.zeros(len(belief), A + 1)
        if action is not None:
            done = torch.cat([nn.functional.one_hot(action, A), torch.ones(len(belief), 1)], -1)
        return self.cell(torch.cat([seen.observation, done], -1), belief)

    def posterior(self, h: Tensor) -> Any:
        mean, raw = self.net(h).chunk(2, -1)
        return dist.Normal(mean, raw.exp()).to_event(1)

    def returned(self, after: Tensor) -> Any:
        return after


World.filter = Filter


class NoState(World):
    def state(self, belief, action):
        return torch.zeros(len(belief), 1)


class NoObservation(World):
    def observe_it(self, z, action, seen):
        pass


class ExtraSite(World):
    def rest(self, belief, z, seen):
        pyro.sample("noise", dist.Normal(torch.zeros(len(z)), 1.0))


class NotVectorised(World):
    def forward(self, belief, action, seen=None):
        pyro.sample("state", dist.Normal(self.first, 1.0).to_event(1))
        self.observe_it(self.first, action, seen)


class Mixing(World):
    def state(self, belief, action):
        mean = self.net(belief - belief.mean(0) + belief.std(0)) if action is not None else self.net(belief)
        return pyro.sample("state", dist.Normal(mean, 1.0).to_event(1))


class WrongSpace(World):
    def observe_it(self, z, action, seen):
        x = dist.Categorical(logits=self.out(z))
        pyro.sample("observation", x, obs=None if seen is None else torch.zeros(len(z), dtype=torch.long))


class EarlyReward(World):
    def forward(self, belief, action, seen=None):
        with pyro.plate("batch", len(belief)):
            z = self.state(belief, action)
            self.observe_it(z, action, seen)
            self.rest(belief, z, seen)


class WideReward(World):
    def rest(self, belief, z, seen):
        pyro.sample("reward", dist.Normal(z, 1.0).to_event(1))


class RealTermination(World):
    def rest(self, belief, z, seen):
        pyro.sample("terminated", dist.Normal(z[..., 0], 1.0))


class Blind(World):
    def observe_it(self, z, action, seen):
        pyro.sample("observation", dist.Normal(self.out(z), 1.0).to_event(1))


class Fixed(World):
    def observe_it(self, z, action, seen):
        shown = torch.zeros(len(z), P) if seen is None else seen.observation
        pyro.sample("observation", dist.Normal(self.out(z), 1.0).to_event(1), obs=shown)


class InPlace(World):
    def state(self, belief, action):
        if action is not None:
            belief.mul_(2.0)
        return super().state(belief, action)


class NotANumber(World):
    def observe_it(self, z, action, seen):
        x = dist.Normal(self.out(z) / 0 * 0, 1.0).to_event(1)
        pyro.sample("observation", x, obs=None if seen is None else seen.observation)


class Dropout(World):
    def observe_it(self, z, action, seen):
        x = dist.Normal(nn.functional.dropout(self.out(z), 0.5), 1.0).to_event(1)
        pyro.sample("observation", x, obs=None if seen is None else seen.observation)


class Untrained(World):
    def state(self, belief, action):
        return pyro.sample("state", dist.Normal(torch.zeros(len(belief), 1), 1.0).to_event(1))

    def observe_it(self, z, action, seen):
        x = dist.Normal(self.out(z).detach(), 1.0).to_event(1)
        pyro.sample("observation", x, obs=None if seen is None else seen.observation)

    def rest(self, belief, z, seen):
        pass


OUTSIDE = nn.Parameter(torch.ones(1))


class Outside(World):
    def state(self, belief, action):
        return pyro.sample("state", dist.Normal(OUTSIDE.expand(len(belief), 1), 1.0).to_event(1))


class Sizeless(World):
    belief_size = "five"  # type: ignore[assignment]


class Raising(World):
    def rest(self, belief, z, seen):
        raise ValueError("no reward today.")


class WrongMarginal(World):
    def log_marginal(self, belief, action, seen):
        return torch.zeros(len(belief), P)


class TorchOnly(World):
    def state(self, belief, action):
        mean = self.net(belief)
        return pyro.sample("state", torch.distributions.Normal(mean, 1.0))


class Factor(World):
    def rest(self, belief, z, seen):
        pyro.factor("bonus", torch.zeros(len(z)))


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (NoState, 'to sample the site "state", but it samples "observation"'),
        (NoObservation, 'to sample the site "observation", but it samples "state"'),
        (ExtraSite, 'but it also samples "noise"; make it a part of "state", or leave it out'),
        (NotVectorised, r'"state" of NotVectorised to have batch shape \(7,\) for 7 examples'),
        (Mixing, "to score the same alone and in a batch"),
        (WrongSpace, r'the site "observation" of WrongSpace to range over tensors of shape \(2,\)'),
        (EarlyReward, 'to sample "reward" only after an action, but it does at the first step'),
        (WideReward, r'the site "reward" of WideReward to range over tensors of shape \(\)'),
        (RealTermination, 'the site "terminated" of RealTermination to range over the integers 0 to 1'),
        (Blind, 'to observe the observation that was seen at the site "observation", but it drew another'),
        (Fixed, 'to draw "observation" where nothing is seen'),
        (InPlace, "to leave its inputs unchanged, but it modifies belief in place"),
        (NotANumber, 'log-probabilities at the site "observation" of NotANumber, but got NaN'),
        (Dropout, "to score an example the same every time"),
        (Untrained, "parameters of Untrained to get a gradient"),
        (Outside, "to own its parameters"),
        (Sizeless, "to set belief_size, how many numbers a belief has, but got 'five'"),
        (Raising, "Raising to run.*no reward today; "),
        (WrongMarginal, r"log_marginal of WrongMarginal to return one number for each of 7 examples.*\(7, 2\)"),
        (TorchOnly, "to have a distribution of Pyro, but got torch.distributions.Normal"),
        (Factor, 'has the factor "bonus"'),
    ],
)
def test_each_defect_of_a_world_model_has_its_sentence(world: Any, words: str):
    with pytest.raises(ProgramError, match=words) as found:
        check_world_model(world, SPEC)
    assert len(str(found.value)) <= 300


class Nothing(Filter):
    def returned(self, after):
        return None


class Pair(Filter):
    def returned(self, after):
        return after, after


class NoBatch(Filter):
    def returned(self, after):
        return after.mean(0)


class Short(Filter):
    def returned(self, after):
        return after[:, :-1]


class Double(Filter):
    def returned(self, after):
        return after.double()


class NaNBelief(Filter):
    def returned(self, after):
        return after / 0 * 0


class Growing(Filter):
    """NaN at the third step only."""

    def returned(self, after):
        return (after.abs() + 1.0).exp().exp()


class NoSample(Filter):
    def forward(self, belief, action, seen):
        return self.after(belief, action, seen)


class Two(Filter):
    def posterior(self, h):
        pyro.sample("z", dist.Normal(torch.zeros(len(h)), 1.0))
        return super().posterior(h)


class Wide(Filter):
    def posterior(self, h):
        return dist.Normal(self.net(h), 1.0).to_event(1)


class Finite(Filter):
    def posterior(self, h):
        return dist.Categorical(logits=self.net(h))


class NotPathwise(Filter):
    def posterior(self, h):
        return dist.VonMises(self.net(h)[:, :1], 1.0).to_event(1)


class Single(Filter):
    def forward(self, belief, action, seen):
        pyro.sample("state", dist.Normal(self.net.bias[:1], 1.0).to_event(1))
        return self.after(belief, action, seen)


class MixedBeliefs(Filter):
    def returned(self, after):
        return after - after.mean(0)


class RandomBelief(Filter):
    def returned(self, after):
        return after + torch.randn_like(after)


class Registering(Filter):
    def __init__(self, spec):
        super().__init__(spec)
        self.world = spec.world_model


class WantsReward(Filter):
    def after(self, belief, action, seen):
        h = super().after(belief, action, seen)
        return h if action is None else h + seen.reward.unsqueeze(-1)


class WantsEnd(Filter):
    def after(self, belief, action, seen):
        h = super().after(belief, action, seen)
        return h if action is None else h * (~seen.terminated).unsqueeze(-1)


class Overwrites(Filter):
    def after(self, belief, action, seen):
        seen.observation.clamp_(-0.1, 0.1)
        return super().after(belief, action, seen)


class Given(Filter):
    def forward(self, belief, action, seen):
        after = self.after(belief, action, seen)
        with pyro.plate("batch", len(belief)):
            pyro.sample("state", self.posterior(after), obs=torch.zeros(len(belief), 1))
        return after


class NoGradient(Filter):
    def posterior(self, h):
        mean, raw = self.net(h).detach().chunk(2, -1)
        return dist.Normal(mean, raw.exp()).to_event(1)

    def returned(self, after):
        return after.detach()


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        (Nothing, r"to return the belief after, \(7, 5\) of torch.float32, but got nothing"),
        (Pair, "but got a tuple"),
        (NoBatch, r"but got \(5,\) of torch.float32"),
        (Short, r"but got \(7, 4\) of torch.float32"),
        (Double, r"but got \(7, 5\) of torch.float64"),
        (NaNBelief, "to return a finite belief for what is finite, but got NaN or infinity"),
        (Growing, "to return a finite belief for what is finite"),
        (NoSample, 'to sample the site "state", but it samples nothing'),
        (Two, 'but it also samples "z"'),
        (Wide, r"the states of its world model, vectors of shape \(1,\), but got vectors of shape \(2,\)"),
        (Finite, r"the states of its world model, vectors of shape \(1,\), but got 2 values of shape \(\)"),
        (NotPathwise, "with a gradient"),
        (Single, "to have batch shape"),
        (MixedBeliefs, "to score the same alone and in a batch"),
        (RandomBelief, "the same every time"),
        (Registering, "to leave the world model's parameters to the world model"),
        (WantsReward, "to return a belief where seen.reward is None, as in predict"),
        (WantsEnd, "to return a belief where seen.terminated is None"),
        (Overwrites, "it modifies observation in place"),
        (Given, 'to draw "state", but it observes values of its own'),
        (NoGradient, "parameters of NoGradient to get a gradient"),
    ],
)
def test_each_defect_of_a_filter_has_its_sentence(filter: Any, words: str):
    with pytest.raises(ProgramError, match=words) as found:
        check_filter(filter, World, SPEC)
    assert len(str(found.value)) <= 300


def test_sound_programs_pass():
    check_world_model(World, SPEC)
    check_filter(Filter, World, SPEC)
    check_world_model(World(SPEC), SPEC)  # a program


def test_a_world_model_that_names_no_filter_is_checked_with_random_beliefs():
    class Unnamed(World):
        filter = None

    check_world_model(Unnamed, SPEC)

    class Both(NoObservation):
        filter = None

    with pytest.raises(ProgramError, match="observation"):
        check_world_model(Both, SPEC)


def test_a_filter_may_be_given_for_beliefs_that_random_numbers_are_not():
    class Scaled(World):
        filter = None

        def forward(self, belief: Tensor, action: Tensor | None, seen: Seen | None = None) -> None:
            assert action is None or bool((belief[:, -1] == 1).all())
            super().forward(belief, action, seen)

    class Marked(Filter):
        def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
            after = super().forward(belief, action, seen)
            return torch.cat([after[:, :-1], torch.ones_like(after[:, -1:])], -1)

    with pytest.raises(ProgramError, match="AssertionError"):
        check_world_model(Scaled, SPEC)
    check_world_model(Scaled, SPEC, filter=Marked)


def test_dropout_while_training_and_a_draw_in_the_belief_pass():
    class Trained(World):
        def observe_it(self, z, action, seen):
            x = dist.Normal(nn.functional.dropout(self.out(z), 0.5, self.training), 1.0).to_event(1)
            pyro.sample("observation", x, obs=None if seen is None else seen.observation)

    class Carrying(Filter):
        def forward(self, belief, action, seen):
            after = self.after(belief, action, seen)
            with pyro.plate("batch", len(belief)):
                z = pyro.sample("state", self.posterior(after))
            return torch.cat([after[:, :-1], z], -1)

    check_world_model(Trained, SPEC)
    check_filter(Carrying, World, SPEC)


def test_a_world_that_ignores_actions_passes():
    class Passive(World):
        def state(self, belief, action):
            mean = self.first.expand(len(belief), -1) if action is None else self.net(belief)
            return pyro.sample("state", dist.Normal(mean, 1.0).to_event(1))

    check_world_model(Passive, SPEC)


def test_finite_states_may_be_one_hot():
    class OneHot(World):
        def state(self, belief, action):
            logits = self.first.expand(len(belief), 1) if action is None else self.net(belief) + self.moved[action]
            both = torch.cat([logits, -logits], -1)
            return pyro.sample("state", dist.OneHotCategorical(logits=both))[..., :1]

    class Guess(Filter):
        def posterior(self, h):
            return dist.OneHotCategorical(logits=self.net(h))

    check_world_model(OneHot, SPEC)
    check_filter(Guess, OneHot, SPEC)


SPACES = {
    "discrete": Discrete(5),
    "one": Discrete(1),
    "real": REAL,
    "bounded": Box(0, 1, (3,), np.float32),
    "image": Box(0, 255, (12, 12, 3), np.uint8),
}
ACTIONS = {"discrete": Discrete(3), "real": Box(-np.inf, np.inf, (2,), np.float32)}
FILTERS = {
    "FiniteStateSpace": ("ForwardFilter", "CategoricalFilter"),
    "GaussianStateSpace": ("KalmanFilter", "GaussianFilter"),
    "RecurrentStateSpace": ("RecurrentFilter",),
}


def fits(world: str, seen: str, done: str) -> bool:
    if world == "FiniteStateSpace":
        return seen in ("discrete", "one") and done == "discrete"
    return world == "RecurrentStateSpace" or seen in ("real", "bounded")


def test_every_filter_is_listed():
    assert {name for names in FILTERS.values() for name in names} == {n for n in guides.__all__ if n.endswith("Filter")}
    assert set(FILTERS) == {n for n in models.__all__ if n.endswith("StateSpace")}


@pytest.mark.parametrize("done", ACTIONS)
@pytest.mark.parametrize("seen", SPACES)
@pytest.mark.parametrize("world", FILTERS)
def test_every_program_of_the_library_passes(world: str, seen: str, done: str):
    spec = WorldSpec(SPACES[seen], ACTIONS[done], (8,))
    if not fits(world, seen, done):
        with pytest.raises(InputError):
            check_world_model(world, spec)
        return
    check_world_model(world, spec)
    for filter in FILTERS[world]:
        check_filter(filter, world, spec)


def test_specs_of_another_kind_are_refused():
    with pytest.raises(InputError, match=r"Expected a gio\.WorldSpec"):
        check_world_model(World, gio.GIO("FrozenLake-v1").spec)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Expected a Discrete or Box observation space"):
        check_world_model(World, WorldSpec(Dict({}), Discrete(A)))


@pytest.mark.parametrize(("world", "filter"), [(NotANumber, Filter), (World, MixedBeliefs), (World, Nothing)])
def test_an_agent_runs_the_same_checks(world: Any, filter: Any):
    given = {"hidden": (8,), "world_model": world, "filter": filter}
    with pytest.raises(ProgramError) as found:
        gio.GIO("MountainCar-v0", **given)  # type: ignore[arg-type]
    with pytest.raises(ProgramError) as checked:
        check_world_model(world, SPEC) if world is not World else check_filter(filter, World, SPEC)
    assert str(found.value)[:80] == str(checked.value)[:80]  # numbers differ with the parameters


def test_checks_leave_the_programs_and_the_random_numbers_alone():
    program = World(SPEC)
    before = {name: value.clone() for name, value in program.state_dict().items()}
    state = torch.random.get_rng_state()
    check_world_model(program, SPEC)
    gio.GIO("MountainCar-v0", hidden=(8,), world_model=program, filter=Filter)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict().items())
