"""The empowerment that a signal reads is an average over its updates."""

import pytest
import torch

from gio_pyro import GIO
from gio_pyro.signals.empowerment import RECENCY, polynomial_average
from tests.signals.test_reward_mix import QUICK


def test_the_average_of_a_line_is_where_its_weights_put_it():
    """Of 1, 2, …, t with weights that fall as ((t − k)/t)^η it is ((η + 1) t + 1)/(η + 2) (by induction)."""
    mean = torch.ones(())
    for number in range(2, 501):
        polynomial_average([mean], [torch.tensor(float(number))], number - 1)
    assert float(mean) == pytest.approx(((RECENCY + 1) * 500 + 1) / (RECENCY + 2), rel=1e-5)


def test_the_average_wanders_less_than_the_network():
    """From one update to the next; and it is what the agent is paid."""
    agent = GIO("gio/SlipperyLine-v0", signal="Empowerment(2)", **QUICK).learn(200)
    signal, state = agent.reward_mix.signal, torch.arange(6)
    moves = {"average": 0.0, "network": 0.0}
    for _ in range(20):
        before = signal.estimate(state), signal.learner(state)
        agent.learn(10)
        after = signal.estimate(state), signal.learner(state)
        for name, one, other in zip(moves, before, after, strict=True):
            moves[name] += float((other - one).abs().mean())
    assert moves["average"] < 0.5 * moves["network"]
    rows = agent.replay.all()
    paid = signal.estimate(rows.next_state) * ~rows.terminated
    assert torch.equal(agent.reward_mix.read(rows), paid)


def test_what_was_saved_without_an_average_begins_with_the_network():
    agent, other = (GIO("gio/SlipperyLine-v0", signal="Empowerment(2)", **QUICK | {"seed": s}) for s in (0, 1))
    saved = agent.learn(100).reward_mix.signal.state_dict()
    signal, state = other.reward_mix.signal, torch.arange(6)
    signal.load_state_dict({name: value for name, value in saved.items() if not name.startswith("averaged.")})
    assert torch.equal(signal.estimate(state), agent.reward_mix.signal.learner(state))
    assert not torch.equal(signal.estimate(state), agent.reward_mix.signal.estimate(state))
