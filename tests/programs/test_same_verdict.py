"""`GIO` and the checks accept and refuse the same programs, with the same error.

Cost: 10 s.
"""

import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.nn import functional

import gio_pyro as gio
from gio_pyro.errors import GioError
from gio_pyro.models import GaussianModel
from gio_pyro.types import Policy, Spec

SETTINGS: dict[str, Any] = {"hidden": (8,), "batch_size": 16, "learning_starts": 20, "log_interval": 20}
"""CartPole: four numbers as state and future, two actions."""


class Model(nn.Module):
    """A linear model; each of the others below does one thing in another way."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), *self.layers(), nn.Linear(8, 4))

    def layers(self) -> list[nn.Module]:
        return [nn.Tanh()]

    def before(self, state: Tensor) -> None:
        """What happens between the action and the future."""

    def after(self, state: Tensor, future: Tensor) -> None:
        """What happens at the end."""

    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return self.net(torch.cat([state, functional.one_hot(action, 2)], -1))

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        return dist.Normal(self.mean(state, action), 1.0).to_event(1)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            self.before(state)
            found = pyro.sample("future", self.outcome(state, action), obs=future)
            self.after(state, found)
        return found


class Guide(nn.Module):
    """A linear guide, likewise."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), *self.layers(), nn.Linear(8, 2))

    def layers(self) -> list[nn.Module]:
        return [nn.Tanh()]

    def before(self, state: Tensor) -> None:
        """What happens before the action."""

    def after(self, state: Tensor) -> None:
        """What happens at the end."""

    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return self.net(torch.cat([state, future], -1))

    def posterior(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        return dist.Categorical(logits=self.logits(state, future))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            self.before(state)
            pyro.sample("action", self.posterior(policy, state, future))
            self.after(state)


MODELS: dict[str, tuple[Any, str | None]] = {}
GUIDES: dict[str, tuple[Any, str | None]] = {}


def case(says: str | None) -> Callable[[Any], Any]:
    """Put a program into the table, with what is said of it, or None where it is good."""

    def put(program: Any) -> Any:
        is_model = "model" in program.__name__.lower()
        (MODELS if is_model else GUIDES)[program.__name__] = (program, says)
        return program

    return put


NO_LATENT = 'Expected GaussianModel to sample the site "z"'
NOT_READ = "and only the sites' own densities are read; "
DIFFERS = "to score an example the same every time, but two scores of one batch differ; draw no random numbers"
MIXES = "Expected an example to score the same alone and in a batch at the site"


@case(None)
class GoodModel(Model):
    pass


@case(None)
class ModelWithoutPlate(Model):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        action = pyro.sample("action", policy(state))
        pyro.sample("future", self.outcome(state, action), obs=future)  # and it returns nothing


@case(None)
def model_of_a_function(policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
    weight = pyro.param("weight", lambda: torch.zeros(2, 4))
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", dist.Normal(state + weight[action], 1.0).to_event(1), obs=future)


@case(None)
class ModelThatRecords(Model):
    def before(self, state: Tensor) -> None:
        pyro.deterministic("half", state / 2, event_dim=1)


@case(None)
class ModelWithDropoutAndNorms(Model):
    def layers(self) -> list[nn.Module]:
        return [nn.BatchNorm1d(8), nn.RReLU(), nn.Dropout(0.3), nn.AlphaDropout(0.1)]


@case(None)
class ModelInASubsampledPlate(Model):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("data", 10_000, subsample_size=len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.outcome(state, action), obs=future)


@case(None)
class ModelWithALatentBetween(Model):
    def before(self, state: Tensor) -> None:
        pyro.sample("z", dist.Normal(torch.zeros(len(state)), 1.0))

    def latent_guide(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        with pyro.plate("batch", len(state)):
            pyro.sample("z", dist.Normal(torch.zeros(len(state)), 0.9))


@case('the latent site "z" of ModelWithALatentAfter to be sampled before "future"')
class ModelWithALatentAfter(Model):
    def after(self, state: Tensor, future: Tensor) -> None:
        pyro.sample("z", dist.Normal(future[:, 0], 1.0))


@case(None)
class ModelWithAGlobalLatent(Model):
    autoguide = AutoNormal

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        pyro.sample("z", dist.Normal(0.0, 1.0))
        return super().forward(policy, state, future)


@case('but it also has the factor "f", ' + NOT_READ + "give the model an evidence that adds it")
class ModelWithAFactor(Model):
    def after(self, state: Tensor, future: Tensor) -> None:
        pyro.factor("f", -future.square().sum(-1))


@case('but it also observes "loss", ' + NOT_READ + "give the model an evidence that adds it")
class ModelWithAnAuxiliaryLoss(Model):
    def after(self, state: Tensor, future: Tensor) -> None:
        pyro.sample("loss", dist.Normal(future[:, 0], 1.0), obs=state[:, 0])


@case('the site "future", but pyro.deterministic only records a number, which has no probability; draw it')
class ModelThatOnlyRecordsTheFuture(Model):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.deterministic("future", self.mean(state, action), event_dim=1)


@case("got torch.distributions.MultivariateNormal; take pyro.distributions.MultivariateNormal.")
class ModelOfTorch(Model):
    def outcome(self, state: Tensor, action: Tensor) -> Any:
        return torch.distributions.MultivariateNormal(self.mean(state, action), torch.eye(4))


@case("got torch.distributions.Normal; take pyro.distributions.Normal.")
class ModelOfTorchInside(Model):
    def outcome(self, state: Tensor, action: Tensor) -> Any:
        return dist.Independent(torch.distributions.Normal(self.mean(state, action), 1.0), 1)


@case('the site "future" of ModelOfAFunctionOfDraws to have a distribution of Pyro, but got one of type function')
class ModelOfAFunctionOfDraws(Model):
    def outcome(self, state: Tensor, action: Tensor) -> Any:
        return lambda: self.mean(state, action)


@case("to have batch shape (7,) for 7 examples, but got (); the program is not vectorised")
class ModelOfOneExample(Model):
    def outcome(self, state: Tensor, action: Tensor) -> Any:
        return dist.Normal(self.mean(state, action)[0], 1.0).to_event(1)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", self.outcome(state, action), obs=future)


@case("to range over tensors of shape (4,), but got a Independent with event shape (3,)")
class ModelOfThreeNumbers(Model):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state, action)[:, :3]


@case('Expected log-probabilities at the site "future" of ModelOfNaN, but got NaN')
class ModelOfNaN(Model):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state, action) * torch.nan


@case("to depend on the action, but they do not; use the sampled action, or set ignores_action = True")
class ModelThatIgnoresTheAction(Model):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state, torch.zeros_like(action))


@case(None)
class ModelThatSaysItIgnoresTheAction(ModelThatIgnoresTheAction):
    ignores_action = True


@case('to sample "action" from policy(state), but it has another distribution there; use policy(state).')
class ModelWithItsOwnPolicy(Model):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        return super().forward(lambda s: dist.Categorical(logits=torch.zeros(len(s), 2)), state, future)


@case("to observe a future that it is given, but it drew another; pass obs=future.")
class ModelThatDrawsTheFuture(Model):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        return super().forward(policy, state, None)


@case('to get a gradient from the site "future", but none does; look for detach')
class ModelThatDetaches(Model):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state, action).detach()


OUTSIDE = nn.Linear(2, 4)


@case("but it uses a tensor of shape (4, 2) from outside; make the program an nn.Module that holds it.")
def model_of_a_network_outside(policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", policy(state))
        mean = OUTSIDE(functional.one_hot(action, 2).float())
        return pyro.sample("future", dist.Normal(mean, 1.0).to_event(1), obs=future)


@case('but its forward calls pyro.param("shift"); make it an nn.Parameter or PyroParam in __init__.')
class ModelWithAStatement(PyroModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        return model_of_a_function(policy, state + pyro.param("shift", torch.zeros(4)), future)


@case('the site "future" of ModelInAScale to be scored by its own density, but it is inside poutine.scale, which')
class ModelInAScale(Model):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            with poutine.scale(scale=0.5):
                return pyro.sample("future", self.outcome(state, action), obs=future)


@case('the site "action" of ModelInAMask to be scored by its own density, but it is inside poutine.mask, which')
class ModelInAMask(Model):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with poutine.mask(mask=state[:, 0] > 0):
            return super().forward(policy, state, future)


@case("to leave its inputs unchanged, but it modifies state in place; work on a copy.")
class ModelThatWritesIntoTheState(Model):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state.div_(3.0), action)


@case("Expected ModelThatRaises to run, but it raised KeyError: 'shelf'; ")
class ModelThatRaises(Model):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        raise KeyError("shelf")


@case(None)
class GoodGuide(Guide):
    pass


@case(None)
class GuideThatRecords(Guide):
    def before(self, state: Tensor) -> None:
        pyro.deterministic("half", state / 2, event_dim=1)


@case(None)
class GuideWithDropout(Guide):
    def layers(self) -> list[nn.Module]:
        return [nn.Dropout(0.5)]


@case(None)
class GuideWithBatchNorm(Guide):
    def layers(self) -> list[nn.Module]:
        return [nn.BatchNorm1d(8), nn.ReLU()]


@case(None)
class GuideWithLayerNorm(Guide):
    def layers(self) -> list[nn.Module]:
        return [nn.LayerNorm(8), nn.ReLU()]


@case(None)
class GuideWithRecurrentDropout(Guide):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.cells = nn.GRU(4, 4, num_layers=2, dropout=0.5, batch_first=True)

    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        seen, _ = self.cells(torch.stack([state, future], 1))
        return super().logits(seen[:, 0], seen[:, 1])


@case(MIXES + ' "action" of GuideWithForgetfulNorm, but got ')
class GuideWithForgetfulNorm(Guide):
    def layers(self) -> list[nn.Module]:
        return [nn.BatchNorm1d(8, track_running_stats=False)]


@case(MIXES + ' "action" of GuideThatMixes, but got ')
class GuideThatMixes(Guide):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return super().logits(state, future.softmax(0))


@case(MIXES + ' "action" of GuideThatLooksAhead, but got ')
class GuideThatLooksAhead(Guide):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return super().logits(state, future.flip(0).cumsum(0).flip(0))


@case(DIFFERS)
class GuideWithDropoutAlways(Guide):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return functional.dropout(super().logits(state, future), 0.5, training=True)


@case(DIFFERS)
class GuideThatDraws(Guide):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return super().logits(state, future) + torch.randn(len(state), 2)


@case("unchanged, but its buffer reads changes; update it in the method observe")
class GuideThatCounts(Guide):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("reads", torch.zeros(()))

    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        self.reads += 1  # type: ignore[has-type]
        return super().logits(state, future)


@case(NO_LATENT)
class GuideWithALatentBefore(Guide):
    def before(self, state: Tensor) -> None:
        pyro.sample("z", dist.Normal(torch.zeros(len(state)), 1.0))


@case(NO_LATENT)
class GuideWithALatentAfter(Guide):
    def after(self, state: Tensor) -> None:
        pyro.sample("z", dist.Normal(torch.zeros(len(state)), 1.0))


@case('but it also has the factor "f", ' + NOT_READ + "leave it out")
class GuideWithAFactor(Guide):
    def after(self, state: Tensor) -> None:
        pyro.factor("f", state[:, 0])


@case('but it also observes "loss", ' + NOT_READ + "leave it out")
class GuideWithAnAuxiliaryLoss(Guide):
    def before(self, state: Tensor) -> None:
        pyro.sample("loss", dist.Normal(state[:, 0], 1.0), obs=torch.zeros(len(state)))


@case("got torch.distributions.Categorical; take pyro.distributions.Categorical.")
class GuideOfTorch(Guide):
    def posterior(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        return torch.distributions.Categorical(logits=self.logits(state, future))


@case("to have a density for every example, but got a masked distribution, which gives some 0 nats; take mask away.")
class GuideOfAMaskedDistribution(Guide):
    def posterior(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        return super().posterior(policy, state, future).mask(state[:, 0] > 0)


class Improper(dist.Categorical):
    """Probabilities that add up to 2."""

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + math.log(2)


@case('probabilities at the site "action" of GuideOfImproperProbabilities to add up to 1, but they add up to 2; nor')
class GuideOfImproperProbabilities(Guide):
    def posterior(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        return Improper(logits=self.logits(state, future))


@case("to leave the model's parameters to the model, but it holds spec.model as a part of itself; keep it in a tuple")
class GuideThatHoldsWhatItRead(Guide):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.model = spec.model


@case("Expected an objective among elbo, joint_elbo, forward_kl, sleep")
class GuideOfNoObjective(Guide):
    objective = "nonsense"


@case("Expected GuideThatIsWordy to run, but it raised RuntimeError: word word")
class GuideThatIsWordy(Guide):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        raise RuntimeError("word " * 200)


@case("to depend on the future, but it gives every future the same actions; use `future`")
class GuideThatIgnoresTheFuture(Guide):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return super().logits(state, torch.zeros_like(future))


@case("to range over the integers 0 to 1, but got a Categorical of another support")
class GuideOfThreeActions(Guide):
    def logits(self, state: Tensor, future: Tensor) -> Tensor:
        return super().logits(state, future)[:, [0, 1, 1]]


@case('to draw "action", but it observes values of its own; take obs away.')
class GuideThatObservesItself(Guide):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            pyro.sample("action", self.posterior(policy, state, future), obs=torch.zeros(len(state), dtype=torch.long))


@case("Expected explore(state) of GuideWithoutExplorer to return a distribution over actions for each state, but got")
class GuideWithoutExplorer(Guide):
    def explore(self, state: Tensor) -> Any:
        return torch.zeros(len(state), 2)


@case("Expected GuideThatCannotFollow to run, but it raised ZeroDivisionError: division by zero; ")
class GuideThatCannotFollow(Guide):
    def follow(self, policy: Policy, state: Tensor, weight: Tensor) -> None:
        1 / 0  # noqa: B018


@pytest.fixture(scope="module")
def spec() -> Spec:
    return gio.GIO("CartPole-v1", **SETTINGS).spec


def verdict(use: Callable[[], Any]) -> str | None:
    """What is said of a program, or None."""
    try:
        use()
    except GioError as error:
        return str(error)
    return None


def require_one_sentence(said: str) -> None:
    assert said.startswith("Expected ")
    assert said.endswith(".")
    assert "\n" not in said
    assert "; " in said
    assert len(said) <= 300


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, spec: Spec):
    program, says = MODELS[name]
    check = verdict(lambda: gio.testing.check_model(program, spec))
    agent = verdict(lambda: gio.GIO("CartPole-v1", model=program, **SETTINGS).learn(40 if says is None else 0))
    compare(check, agent, says)


@pytest.mark.parametrize("name", GUIDES)
def test_guides(name: str, spec: Spec):
    program, says = GUIDES[name]
    check = verdict(lambda: gio.testing.check_guide(program, GaussianModel, spec))
    agent = verdict(lambda: gio.GIO("CartPole-v1", guide=program, **SETTINGS).learn(40 if says is None else 0))
    compare(check, agent, says)


def compare(check: str | None, agent: str | None, says: str | None) -> None:
    if says is None:
        assert (check, agent) == (None, None)
        return
    assert check is not None
    assert agent is not None
    require_one_sentence(check)
    assert says in check
    assert says in agent
    if "but got" not in says:  # numbers of other parameters
        assert check == agent
