"""ELBOs of `pyro.infer` as objectives: which are accepted, what settings and checkpoints hold of them."""

from functools import partial
from pathlib import Path

import numpy as np
import pyro.infer
import pyro.optim
import pytest
import torch

from gio_pyro import GIO, IntrinsicReward
from gio_pyro.cli import training
from gio_pyro.cli.main import entry_point
from gio_pyro.errors import CheckpointError, InputError, TrainingError
from gio_pyro.inference import PYRO_ELBOS, PyroElbo, objective_named, objective_text, optim_from, optim_text
from gio_pyro.programs import detached
from tests.agents import differences
from tests.masked import Board
from tests.slow import slow_but

FAST = {"train_freq": 20, "gradient_steps": 2, "learning_starts": 20, "improvements": 1, "log_interval": 40}
SMALL = {"hidden": (8,), "batch_size": 16, **FAST}


class HalfElbo(pyro.infer.Trace_ELBO):
    """A user's own: half of `Trace_ELBO`."""

    def _differentiable_loss_particle(self, model_trace, guide_trace):
        loss, surrogate = super()._differentiable_loss_particle(model_trace, guide_trace)
        return 0.5 * loss, 0.5 * surrogate


def zero(model, guide, policy, batch, future):
    return batch.mean(guide.log_prob(policy, batch.state, future, batch.action)) * 0.0


@pytest.mark.parametrize(
    "text",
    [
        "Trace_ELBO",
        "Trace_ELBO(num_particles=4, vectorize_particles=True)",
        "RenyiELBO(alpha=0.5, num_particles=4)",
        "ReweightedWakeSleep(insomnia=0.5, num_sleep_particles=3)",
    ],
)
def test_an_instance_is_written_as_the_text_that_makes_it_again(text: str):
    made = objective_named(text)
    assert isinstance(made, PyroElbo)
    again = objective_named(objective_text(made.elbo))
    assert isinstance(again, PyroElbo)
    assert vars(again.elbo) == vars(made.elbo)
    assert objective_text(again.elbo) == objective_text(made.elbo)


def test_the_users_elbo_is_copied():
    elbo = pyro.infer.TraceEnum_ELBO()
    agent = GIO("FrozenLake-v1", objective=elbo, seed=0, **FAST).learn(40)
    assert elbo.max_plate_nesting == float("inf")
    assert agent.inference.objective.elbo.max_plate_nesting == 1
    assert agent.settings.objective == "TraceEnum_ELBO"


@pytest.mark.parametrize("objective", [*PYRO_ELBOS, "Trace_ELBO(num_particles=3, vectorize_particles=True)"])
@pytest.mark.parametrize("environment", slow_but(["FrozenLake-v1", "CartPole-v1", "Pendulum-v1"], "FrozenLake-v1"))
def test_every_elbo_trains_every_kind_of_agent(objective: str, environment: str):
    finite = environment != "Pendulum-v1"
    if objective == "RenyiELBO" and finite:
        objective = "RenyiELBO(alpha=0.5)"
    settings = FAST if environment == "FrozenLake-v1" else SMALL
    if objective in ("TraceMeanField_ELBO", "TraceTMC_ELBO") and finite:
        with pytest.raises(InputError, match=r"reparameteri[sz]ed"):
            GIO(environment, objective=objective, seed=0, **settings).learn(60)
        return
    if objective == "TraceEnum_ELBO" and not finite:
        with pytest.warns(UserWarning, match="no sample sites configured for enumeration"):
            agent = GIO(environment, objective=objective, seed=0, **settings).learn(60)
    else:
        agent = GIO(environment, objective=objective, seed=0, **settings).learn(60)
    before = [p.clone() for p in agent.guide.parameters()]
    agent.learn(40)
    assert any(not torch.equal(a, b) for a, b in zip(before, agent.guide.parameters(), strict=True))


def test_resuming_is_bit_for_bit(tmp_path: Path):
    settings = SMALL | {"objective": "Trace_ELBO(num_particles=2, vectorize_particles=True)", "training": "alternating"}
    agent = GIO("CartPole-v1", optim="ClippedAdam(lr=0.01, lrd=0.99)", seed=0, **settings).learn(100)
    agent.save(tmp_path)
    loaded = GIO.load(tmp_path)
    assert differences(agent.learn(60), loaded.learn(60)) == []
    assert sorted(loaded.inference.optimisers) == ["guide", "model"]


def test_masked_actions_have_the_value_and_gradient_of_the_own_elbo():
    agent = GIO(Board(), seed=0, **FAST).learn(60)
    batch, future = agent._examples()
    assert not bool(agent.masks(batch.state).all())
    with agent._private():
        model, guide, policy = agent.model, agent.guide, detached(agent.policy)
        own, pyros = (objective_named(name)(model, guide, policy, batch, future) for name in ("elbo", "TraceEnum_ELBO"))
        torch.testing.assert_close(own, pyros)
        gradients = [torch.autograd.grad(value, guide.program.table)[0] for value in (own, pyros)]
        torch.testing.assert_close(*gradients)


def test_the_command_line_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Text as `gio train` passes it, a class in a file as well; resuming needs the file again."""
    file = tmp_path / "mine.py"
    file.write_text("import pyro.infer\n\nclass Mine(pyro.infer.Trace_ELBO):\n    pass\n")
    monkeypatch.setattr(training, "_finish", lambda *_: None)
    run, text = tmp_path / "run", f"{file}:Mine(num_particles=2)"
    flags = ("--steps", "40", "--quiet", "--train-freq", "20", "--gradient-steps", "1")
    given = ("--objective", text, "--optim", "ClippedAdam(lr=0.01)", "--training", "alternating")
    assert entry_point(["train", "FrozenLake-v1", "--out", str(run), *flags, *given]) == 0
    with pytest.raises(CheckpointError, match="name it again"):
        GIO.load(run)
    agent = GIO.load(run, objective=text)
    assert type(agent.inference.objective.elbo).__name__ == "Mine"
    assert agent.inference.objective.elbo.num_particles == 2


def test_the_reward_for_other_libraries_takes_them_too():
    reward = IntrinsicReward(
        "CartPole-v1", objective="Trace_ELBO", optim=pyro.optim.ClippedAdam({"lr": 0.01}), hidden=(8,), updates=2
    )
    samples = {
        "observations": np.zeros((6, 2, 4), np.float32),
        "actions": np.zeros((6, 2), np.int64),
        "rewards": np.zeros((6, 2), np.float32),
        "terminateds": np.zeros((6, 2), bool),
        "truncateds": np.zeros((6, 2), bool),
        "next_observations": np.ones((6, 2, 4), np.float32),
    }
    assert set(reward.update(samples)) >= {"dynamics_nats", "guide_nats"}
    assert isinstance(reward.inference.optimiser, pyro.optim.clipped_adam.ClippedAdam)


@pytest.mark.parametrize("own", [HalfElbo(), zero], ids=["elbo", "function"])
def test_a_users_own_must_be_passed_again(tmp_path: Path, own: object):
    agent = GIO("FrozenLake-v1", objective=own, seed=0, **FAST).learn(40)
    agent.save(tmp_path)
    with pytest.raises(CheckpointError, match=r"^Expected an objective of gio_pyro, but the"):
        GIO.load(tmp_path)
    with pytest.raises(CheckpointError, match=r"^Expected objective .* as in training, but got"):
        GIO.load(tmp_path, objective="elbo")
    loaded = GIO.load(tmp_path, objective=own)
    assert differences(agent.learn(40), loaded.learn(40)) == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (torch.optim.AdamW, "AdamW"),
        (partial(torch.optim.SGD, lr=0.1, momentum=0.9), "SGD(lr=0.1, momentum=0.9)"),
        (pyro.optim.ClippedAdam({"lr": 0.01, "clip_norm": 5.0}), "ClippedAdam(lr=0.01, clip_norm=5.0)"),
        (pyro.optim.Adam({"lr": 0.01}, {"clip_norm": 5.0}), "Adam(lr=0.01, clip_norm=5.0)"),
    ],
)
def test_optimisers_as_text(given: object, text: str):
    assert optim_text(given) == text
    first, again = optim_from(given), optim_from(text)
    assert first == again
    assert optim_from('Adam({"lr": 0.01}, {"clip_norm": 5.0})') == optim_from("Adam(lr=0.01, clip_norm=5.0)")


OPTIMISERS = [
    "SGD(lr=0.01)",
    "SGD(0.01, momentum=0.9)",
    "AdamW",
    "RMSprop(lr=0.001)",
    "Rprop",
    "NAdam",
    "RAdam",
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad(lr=0.01, fused=True)",
    "ClippedAdam(lr=0.01)",
    "AdagradRMSProp",
    "Adam(lr=0.01, clip_norm=0.1)",
]


@pytest.mark.parametrize("optim", slow_but(OPTIMISERS, "Adafactor", "ClippedAdam(lr=0.01)"))
def test_optimisers_train_and_resume(tmp_path: Path, optim: str):
    agent = GIO("CartPole-v1", optim=optim, seed=0, **SMALL).learn(60)
    agent.save(tmp_path)
    loaded = GIO.load(tmp_path)
    assert differences(agent.learn(40), loaded.learn(40)) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "Trace_ELBO(particles=2)"}, "Expected Trace_ELBO with its own settings"),
        ({"objective": "TraceELBO2"}, "did you mean Trace_ELBO"),
        ({"objective": pyro.infer.Trace_ELBO}, "Expected an instance of an ELBO"),
        ({"objective": pyro.infer.TraceTailAdaptive_ELBO()}, "Expected an ELBO that computes its loss"),
        ({"objective": pyro.infer.JitTrace_ELBO()}, "takes tensors only, and so no policy; take Trace_ELBO"),
        ({"objective": "RenyiELBO(alpha=0.5, num_particles=0)"}, "num_particles of RenyiELBO to be a whole number"),
        ({"objective": "RenyiELBO(alpha=1)"}, "Expected RenyiELBO with valid settings, but it raised"),
        ({"objective": "RenyiELBO"}, "Expected an ELBO with a gradient for guides of finite actions"),
        ({"objective": iter(())}, "or an ELBO of pyro.infer, but got a"),
        ({"objective": (n for n in ())}, "or an ELBO of pyro.infer, but got a generator"),
        ({"optim": "Adam(lr=1e400)"}, "Expected a finite lr"),
        ({"optim": lambda parameters: {}["lr"]}, "to take the arguments of optim, but it raised KeyError: 'lr'"),
        ({"objective": "sleep", "training": "svi"}, "Expected an ELBO for training svi, but got Sleep"),
        ({"objective": "joint_elbo", "training": "alternating"}, "Expected an objective of the guide alone"),
        ({"training": "both"}, "Expected training to be one of joint, alternating, svi"),
        ({"optim": "SGD(rate=1)"}, "Expected SGD with its own arguments"),
        ({"optim": "Sgdd"}, "Expected an optimiser among"),
        ({"optim": pyro.optim.Adam(lambda name: {"lr": 0.1})}, "Expected one set of arguments for all parameters"),
        (
            {"optim": pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.1}, "gamma": 1})},
            "Expected an optimiser without a schedule",
        ),
        ({"optim": torch.optim.SGD([torch.zeros(1, requires_grad=True)])}, "Expected optim as text, a class"),
    ],
)
def test_refusals_are_one_sentence(settings: dict, message: str):
    with pytest.raises(InputError, match=message) as raised:
        GIO("CartPole-v1", **SMALL, **settings)
    assert len(str(raised.value)) <= 300


def broken(model, guide, policy, batch, future):
    return batch.mean(guide.log_prob(policy, batch.state, future, batch.action)) * torch.nan


@pytest.mark.parametrize("returned", [3.0, torch.zeros(4), torch.zeros((), dtype=torch.int64), None])
def test_an_objective_that_returns_no_scalar_is_refused(returned: object):
    agent = GIO("CartPole-v1", objective=lambda *given: returned, seed=0, **SMALL)
    with pytest.raises(InputError, match="to return a scalar tensor, the mean in nats, but got"):
        agent.learn(40)


@pytest.mark.parametrize("optim", [None, "ClippedAdam", "SGD(lr=0.1)"])
def test_a_loss_that_is_not_finite_changes_nothing(optim: str | None):
    agent = GIO("CartPole-v1", optim=optim, objective=broken, seed=0, **SMALL)
    before = [p.clone() for p in agent.guide.parameters()]
    with pytest.raises(TrainingError, match="finite losses"):
        agent.learn(40)
    assert all(torch.equal(a, b) for a, b in zip(before, agent.guide.parameters(), strict=True))
