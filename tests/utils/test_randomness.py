"""Private random streams leave the global generators unchanged."""

import random

import numpy as np
import pytest
import torch

import gio_pyro as gio
from gio_pyro.utils.randomness import PrivateRandom


def draw(stream: PrivateRandom, n: int = 3) -> list[float]:
    with stream.use():
        return torch.rand(n).tolist()


def test_the_same_seed_draws_the_same_numbers():
    assert draw(PrivateRandom(4)) == draw(PrivateRandom(4))


def test_another_seed_draws_other_numbers():
    assert draw(PrivateRandom(4)) != draw(PrivateRandom(5))


def test_a_stream_goes_on_where_it_stopped():
    stream, whole = PrivateRandom(1), PrivateRandom(1)
    assert draw(stream, 3) + draw(stream, 5) == draw(whole, 8)


def test_the_outer_generator_notices_nothing():
    before = torch.get_rng_state()
    draw(PrivateRandom(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_outer_seed_changes_nothing_inside():
    expected = draw(PrivateRandom(2))
    with torch.random.fork_rng():
        torch.manual_seed(99)
        assert draw(PrivateRandom(2)) == expected


def test_an_error_inside_puts_the_outer_generator_back():
    stream, before = PrivateRandom(0), torch.get_rng_state()
    with pytest.raises(RuntimeError), stream.use():
        torch.rand(3) @ torch.rand(4)
    assert torch.equal(torch.get_rng_state(), before)


def test_two_streams_in_turn_are_the_two_streams_alone():
    first, second = PrivateRandom(1), PrivateRandom(2)
    mixed = [draw(first), draw(second), draw(first), draw(second)]
    assert mixed[0] + mixed[2] == draw(PrivateRandom(1), 6)
    assert mixed[1] + mixed[3] == draw(PrivateRandom(2), 6)


def test_a_saved_state_continues_the_stream():
    stream, other = PrivateRandom(3), PrivateRandom(0)
    draw(stream)
    other.state = stream.state
    assert draw(other) == draw(stream)


def test_a_stream_used_inside_itself_repeats_no_number():
    stream = PrivateRandom(6)
    with stream.use():
        first = torch.rand(4).tolist()
        inner = draw(stream, 4)
    assert not set(first) & set(inner)


def test_the_state_read_inside_a_block_continues_from_there():
    stream, other = PrivateRandom(7), PrivateRandom(0)
    with stream.use():
        torch.rand(5)
        other.state = {name: state.clone() for name, state in stream.state.items()}
        rest = torch.rand(3).tolist()
    assert draw(other) == rest


def generators() -> tuple[object, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())  # noqa: NPY002


def test_an_agent_moves_nobody_elses_random_numbers():
    before = generators()
    agent = gio.GIO("FrozenLake-v1", seed=3, batch_size=32, guide="CategoricalNetworkGuide").learn(600)
    agent.predict(0)
    agent.evaluate(2)
    assert generators() == before


def test_an_agent_learns_the_same_whatever_happens_between():
    whole = gio.GIO("FrozenLake-v1", seed=3).learn(1_000)
    parts = gio.GIO("FrozenLake-v1", seed=3).learn(500)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        gio.GIO("FrozenLake-v1", seed=4).learn(500)
        parts.learn(500)
    assert torch.equal(whole.policy.log_pi, parts.policy.log_pi)


def test_a_callback_that_reads_the_agent_does_not_change_what_it_learns():
    def watch(agent: gio.GIO, metrics: dict[str, float]) -> None:
        agent.intrinsic_reward(torch.arange(16))

    watched = gio.GIO("FrozenLake-v1", seed=3).learn(1_000, callback=watch)
    assert torch.equal(watched.policy.log_pi, gio.GIO("FrozenLake-v1", seed=3).learn(1_000).policy.log_pi)
