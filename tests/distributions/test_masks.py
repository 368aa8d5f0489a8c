"""Action masks: forbidden actions have probability 0, and all else is as if they did not exist."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import gio_pyro as gio
from gio_pyro import tabular
from gio_pyro.diagnostics import policy_table
from gio_pyro.distributions.masks import ILLEGAL, restricted
from gio_pyro.errors import InputError, TrainingError
from tests.masked import Board, Crossing
from tests.slow import slow_but

QUICK = {"learning_starts": 100, "hidden": (16,), "batch_size": 32, "train_freq": 20}
"""For networks."""


TABLES = {"train_freq": 100, "gradient_steps": 2, "improvements": 1}


def vector(mode: AutoresetMode, **board: Any) -> SyncVectorEnv:
    return SyncVectorEnv([partial(Board, **board)] * 3, autoreset_mode=mode)


def settings(shows: str) -> dict[str, Any]:
    return TABLES if shows in ("number", "nothing") else QUICK


KINDS = {
    "default": {},
    "exploring": {"uniform_share": 0.7},
    "greedy": {"greedy": True},
    "entropy": {"guide": "UniformGuide", "temperature": "auto"},
    "mirl": {"guide": "MovingMarginalGuide", "uniform_share": 0.5, "temperature": "loss:1:0.1"},
    "bayes": {"guide": "BayesGuide"},
    "replayed": {"intrinsic": "replayed"},
    "signal": {"signal": "PredictionError", "explorer": "Signal"},
    "goals": {"signal": "PredictionError", "explorer": "Goals(horizon=4)"},
    "later": {"future": "FinalState(2)"},
    "elbo": {"objective": "elbo", "initial_value": "neutral"},
    "weighted": {"objective": "wake_sleep"},
    "dreams": {"dream_horizon": 2, "dream_share": 0.5},
}


@pytest.mark.parametrize("shows", ["number", "vector"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_forbidden_is_ever_done(kind: str, shows: str):
    given = dict(KINDS[kind])
    if shows == "vector":
        given.pop("initial_value", None)
    agent = gio.GIO(Board(shows), **{**settings(shows), **given}).learn(300)
    rows = agent.replay.latest(300)
    allowed = agent.spec.allowed(rows.state)
    assert allowed is not None
    assert allowed.float().mean() == pytest.approx(2 / 3)
    pi = agent.policy(rows.state)
    assert (pi.probs[~allowed] == 0).all()
    assert pi.probs.sum(-1).allclose(torch.ones(1))
    space = agent.spec.future_space
    future = rows.next_state if shows == "number" else rows.next_state[:, : space.shape[0]]
    q = agent.guide.posterior(agent.policy, rows.state, future)
    assert (q.probs[~allowed] == 0).all()
    assert torch.isfinite(rows.log_behaviour).all()
    assert rows.log_behaviour.max() <= 0
    assert all(np.isfinite(value) for name, value in agent.metrics().items())
    assert agent.evaluate(2).lengths == (10, 10)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("shows", ["number", "vector", "dict"])
def test_several_environments(mode: AutoresetMode, shows: str):
    agent = gio.GIO(vector(mode, shows=shows), **settings(shows)).learn(300)
    rows = agent.replay.latest(300)
    where = rows.state if shows == "number" else (rows.state[:, 0] + 1).long()
    own = torch.arange(3) != where[:, None]
    assert torch.equal(agent.spec.allowed(rows.state), own)
    after = rows.next_state if shows == "number" else (rows.next_state[:, 0] + 1).long()
    assert torch.equal(agent.spec.allowed(rows.next_state), torch.arange(3) != after[:, None])
    assert torch.allclose(rows.log_behaviour.exp(), torch.tensor(0.5), atol=0.5)


@pytest.mark.parametrize("shows", ["number", "vector"])
def test_a_vector_of_stable_baselines(shows: str):
    stable = pytest.importorskip("stable_baselines3.common.vec_env")
    agent = gio.GIO(stable.DummyVecEnv([partial(Board, shows)] * 2), **settings(shows)).learn(200)
    assert agent.spec.allowed(agent.replay.latest(50).next_state).float().mean() == pytest.approx(2 / 3)


@pytest.mark.parametrize("acts", ["parts", "switches"])
@pytest.mark.parametrize("shows", ["number", "vector"])
def test_actions_of_several_parts(acts: str, shows: str):
    agent = gio.GIO(Board(shows, acts), **settings(shows)).learn(300)
    state = agent.replay.latest(1).state
    assert agent.spec.allowed(state).sum() == 4  # two of three, times two; or two free switches


FORMS = {
    "concatenated": ("parts", lambda flags, t: np.concatenate([flags, [1, 1]])),
    "list": ("parts", lambda flags, t: [flags.tolist(), [True, True]]),
    "free or fixed": ("switches", lambda flags, t: np.where(flags, 2, 0)),
    "floats": ("one", lambda flags, t: flags.astype(np.float64)),
    "booleans": ("one", lambda flags, t: flags.tolist()),
    "torch": ("one", lambda flags, t: torch.tensor(flags)),
    "sometimes": ("one", lambda flags, t: None if t % 3 == 9 else flags),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_forms_of_a_mask(name: str):
    acts, form = FORMS[name]
    gio.GIO(Board("number", acts, form), train_freq=50).learn(100)


WRONG = {
    "shape": (lambda flags, t: flags[: 3 if t < 8 else 2], r"shape \(3,\) from Board, but got shape \(2,\)"),
    "nothing": (lambda flags, t: flags & (t < 8), "allows none of 3"),
    "numbers": (lambda flags, t: flags * (1 if t < 8 else 7), "one flag, 0 or 1"),
    "words": (lambda flags, t: flags if t < 8 else "all", "one flag, 0 or 1"),
}


@pytest.mark.parametrize("shows", ["number", "vector"])
@pytest.mark.parametrize("name", WRONG)
def test_masks_that_are_none_get_a_sentence(name: str, shows: str):
    form, words = WRONG[name]
    with pytest.raises(TrainingError, match=words) as caught:
        gio.GIO(Board(shows, form=form), **settings(shows)).learn(100)
    assert len(str(caught.value)) <= 300


def test_a_mask_without_flags_ends_an_episode_as_any_other():
    class Ending(Board):
        def flags(self) -> Any:
            return super().flags() & (self.t < self.end)

    assert gio.GIO(Ending("vector"), **QUICK).learn(100).collector.episodes == 10


def test_masks_that_come_late_get_a_sentence():
    class Late(Board):
        def flags(self) -> Any:
            return super().flags() | (self.t < 8)

    late = Late("vector", form=lambda flags, t: None if t < 8 else flags)
    with pytest.raises(TrainingError, match="a mask with every reset"):
        gio.GIO(late, **QUICK).learn(100)


def test_a_mask_that_is_no_function_of_the_state_is_obeyed():
    gio.GIO(Board("nothing"), train_freq=100).learn(300)
    with pytest.raises(TrainingError, match="no action in common"):
        gio.GIO(SyncVectorEnv([partial(Board, "nothing")] * 8), train_freq=100).learn(300)


def test_the_mask_is_no_part_of_the_future():
    agent = gio.GIO(Board("vector"), **QUICK)
    assert agent.spec.state_space.shape == (5,)
    assert agent.spec.future_space.shape == (2,)
    assert repr(agent.future) == "NextState()"
    assert gio.GIO(Board("dict"), **QUICK).spec.state_space.shape == (5,)


def test_predict_takes_masks():
    agent = gio.GIO(Board(), train_freq=100).learn(200)
    assert {agent.predict(0)[0] for _ in range(20)} == {6, 7}
    assert {agent.predict(0, action_masks=[1, 0, 0])[0] for _ in range(5)} == {5}  # was never allowed
    assert agent.predict(np.array([0, 1]), deterministic=True, action_masks=np.eye(3)[[2, 0]])[0].tolist() == [7, 5]
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        agent.predict(0, action_masks=[1, 0])
    network, seen = gio.GIO(Board("vector"), **QUICK), np.zeros(2, dtype=np.float32)
    assert {network.predict(seen, action_masks=[0, 1, 0])[0] for _ in range(5)} == {6}
    with pytest.warns(gio.errors.GioWarning, match="action_masks"):
        network.predict(seen)
    shown = {"observation": seen, "action_mask": np.array([0, 0, 1])}
    assert gio.GIO(Board("dict"), **QUICK).predict(shown)[0] == 7


@pytest.mark.parametrize("shows", ["number", "vector"])
def test_resumed_bit_for_bit(tmp_path: Any, shows: str):
    agent = gio.GIO(Board(shows), seed=1, **settings(shows)).learn(245)
    agent.save(tmp_path / "saved")
    other = gio.GIO.load(tmp_path / "saved", environment=Board(shows))
    rows, again = (one.learn(155).replay.latest(155) for one in (agent, other))
    assert all(torch.equal(a, b) for a, b in zip(rows.tensors(), again.tensors(), strict=True))
    mine, theirs = (one.policy.state_dict().values() for one in (agent, other))
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_restricted_log_probabilities():
    logits = torch.randn(4, 3, requires_grad=True)
    allowed = torch.tensor([[True, True, False]] * 3 + [[False, False, True]])
    found = restricted(logits, allowed)
    assert (found[~allowed] == ILLEGAL).all()
    assert found.exp().sum(-1).allclose(torch.ones(4))
    (found.exp() * found).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~allowed] == 0).all()


@pytest.mark.parametrize("guide", slow_but(["CategoricalGuide", "BayesGuide", "UniformGuide"], "CategoricalGuide"))
def test_what_is_learned_is_what_the_exact_tier_says(guide: str):
    """Value iteration over the allowed actions, their information, and of uniform ones their entropy."""
    agent = gio.GIO(Crossing(), guide=guide, temperature=0.2, discount=0.9, uniform_share=0.3, seed=0).learn(4_000)
    world = tabular.TabularMDP.from_env(Crossing(), discount=0.9)
    exact = {"UniformGuide": tabular.uniform}.get(guide, tabular.bayes)
    best = tabular.policy_iteration(world, 0.2, guide=exact)
    pi = policy_table(agent)
    assert (pi[~world.allowed] == 0).all()
    torch.testing.assert_close(pi, best.policy, atol=0.08, rtol=0)
    reward = agent.intrinsic_reward(torch.arange(4)).double()
    torch.testing.assert_close(reward, best.intrinsic, atol=0.08, rtol=0)
