"""What is read from replay: by hand, at the ends of episodes, and under another policy than the one that collected."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.data.training_batches import newly_known, training_batch, unweighted_batch
from gio_pyro.distributions.squash import uniform_in_box
from gio_pyro.errors import GioError, InputError
from gio_pyro.futures import (
    FUTURES,
    DiscountedState,
    Features,
    FinalState,
    NextState,
    NextStateAndReward,
    Return,
    StateAfter,
    Trajectory,
    future_from,
    has_exact,
    steps_of,
    unwrapped_future,
    written,
)
from gio_pyro.tabular.futures import interval_of
from gio_pyro.types import Sequences, Transitions

FIVE, TWO = Discrete(5), 2


def always_one(probability: float) -> Callable[[Tensor], Any]:
    """The policy that takes action 1 with a probability, whatever the state."""
    return lambda state: dist.Categorical(torch.tensor([1 - probability, probability]).expand(len(state), 2))


def rows(
    states: list[int], actions: list[int], rewards: list[float], *, terminated: bool, truncated: bool
) -> Transitions:
    """One episode through `states`, collected by a coin."""
    n = len(actions)
    ends = torch.arange(n) == n - 1
    return Transitions(
        state=torch.tensor(states[:-1]),
        action=torch.tensor(actions),
        reward=torch.tensor(rewards),
        next_state=torch.tensor(states[1:]),
        terminated=ends & terminated,
        truncated=ends & truncated,
        log_behaviour=torch.full((n,), 0.5).log(),
        weight=torch.ones(n),
    )


def two_episodes() -> Replay:
    """0 1 2 3, which ends by itself, and 4 3 2, which is cut."""
    replay = Replay(100)
    replay.add(rows([0, 1, 2, 3], [1, 0, 1], [1.0, 2.0, 4.0], terminated=True, truncated=False))
    replay.add(rows([4, 3, 2], [0, 0], [8.0, 16.0], terminated=False, truncated=True))
    return replay


def everything(future: Any, policy: Any) -> tuple[Tensor, Tensor]:
    pieces = two_episodes().sequences(None, steps_of(future))
    return future.read(pieces, FIVE), future.weight(policy, pieces)


def test_a_discounted_state_is_one_of_those_ahead_drawn_by_the_discount():
    """0 is followed by 1, 2 and 3, which ends: with γ = ½ in shares 4 : 2 : 1, by numbers or at random."""
    pieces = two_episodes().sequences(None, 3)
    many = pieces.steps[torch.zeros(7_000, dtype=torch.long)]
    for numbers, error in ((torch.arange(7_000), 5), (torch.full((7_000,), -1), 150)):
        drawn = Sequences(replace(many, time=numbers[:, None].expand(-1, 3)), pieces.valid[:1].expand(7_000, -1))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = DiscountedState(3, 0.5).read(drawn, FIVE)
        assert [int((found == state).sum()) for state in (1, 2, 3)] == pytest.approx([4_000, 2_000, 1_000], abs=error)
    assert future_from("DiscountedState(3, 0.5)") == DiscountedState(3, 0.5)
    with pytest.raises(InputError, match=r"^Expected a discount above 0 and at most 1, but got 0; 0.9 is"):
        DiscountedState(3, 0)


def test_the_state_after_two_steps_stops_at_a_terminal_one_and_is_unknown_after_a_cut():
    found, weight = everything(StateAfter(2), always_one(0.75))
    assert found[:4].tolist() == [2, 3, 3, 2]
    # later actions 0, 1, none (over), 0, unknown
    assert weight.tolist() == pytest.approx([0.5, 1.5, 1.0, 0.5, 0.0])


def test_three_steps_are_unknown_wherever_the_cut_falls_into_them():
    found, weight = everything(StateAfter(3), always_one(0.75))
    assert found[:3].tolist() == [3, 3, 3]
    assert weight.tolist() == pytest.approx([0.75, 1.5, 1.0, 0.0, 0.0])


def test_a_trajectory_counts_its_states_like_digits():
    found, weight = everything(Trajectory(2), always_one(0.5))
    assert found[:4].tolist() == [1 * 5 + 2, 2 * 5 + 3, 3 * 5 + 3, 3 * 5 + 2]
    assert weight.tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.0])


def test_the_return_earns_nothing_after_the_end():
    found, weight = everything(Return(2, 0.5), always_one(0.5))
    assert found[:4, 0].tolist() == [2.0, 4.0, 4.0, 16.0]
    assert found.shape == (5, 1)
    assert weight.tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.0])


def test_a_return_on_a_bound_belongs_above_it():
    found, _ = everything(Return(1, levels=(2.0, 4.0, 9.0)), always_one(0.5))
    assert found.tolist() == [0, 1, 2, 2, 3]


def test_one_step_is_known_up_to_a_cut_that_falls_after_it():
    found, weight = everything(StateAfter(1), always_one(0.75))
    assert found.tolist() == [1, 2, 3, 3, 2]
    assert weight.tolist() == [1.0] * 5


def test_blind_actions_do_not_care_for_the_policy():
    _, weight = everything(FinalState(2), always_one(1.0))
    assert weight.tolist() == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.0])


def test_blind_continuous_actions_are_uniform_over_the_box():
    action = torch.tensor([[[0.3], [-1.2]]])
    zero = torch.zeros(1, 2)
    piece = Transitions(
        torch.zeros(1, 2, 3), action, zero, torch.zeros(1, 2, 3), zero > 0, zero > 0, zero - 0.7, zero + 1
    )
    weight = FinalState(2).weight(
        lambda state: dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1), Sequences(piece, zero == 0)
    )
    expected = uniform_in_box(action[:, 1]).log_prob(action[:, 1]) + 0.7
    torch.testing.assert_close(weight, expected.exp())


def test_weights_are_cut():
    _, weight = everything(StateAfter(3, most_weight=1.2), always_one(0.75))
    assert weight.tolist() == pytest.approx([0.75, 1.2, 1.0, 0.0, 0.0])


def test_an_action_that_the_policy_never_takes_weighs_nothing():
    _, weight = everything(StateAfter(2), always_one(0.0))
    assert weight.tolist() == pytest.approx([2.0, 0.0, 1.0, 2.0, 0.0], abs=1e-6)


def test_features_are_read_and_weighted_as_what_they_are_features_of():
    parity = Features(StateAfter(2), lambda state: state % 2, Discrete(2))
    found, weight = everything(parity, always_one(0.75))
    assert found[:4].tolist() == [0, 1, 1, 0]
    torch.testing.assert_close(weight, everything(StateAfter(2), always_one(0.75))[1])
    one = Features(NextState(), lambda state: state % 2, Discrete(2))
    assert steps_of(one) == 0
    assert one.of(two_episodes().all()).tolist() == [1, 0, 1, 1, 0]


def test_the_reward_beside_the_next_state():
    one_of = NextStateAndReward(rewards=(1.0, 2.0, 4.0, 8.0, 16.0))
    assert one_of.space(FIVE) == Discrete(25)
    assert one_of.of(two_episodes().all()).tolist() == [5 + 0, 10 + 1, 15 + 2, 15 + 3, 10 + 4]
    state = torch.arange(6.0).reshape(2, 3)
    zero = torch.zeros(2)
    batch = Transitions(state, zero, zero + 7, state + 1, zero > 0, zero > 0, zero, zero + 1)
    box = NextStateAndReward()
    assert box.space(Box(-1, 1, (3,))).shape == (4,)
    assert box.of(batch).tolist() == [[1.0, 2.0, 3.0, 7.0], [4.0, 5.0, 6.0, 7.0]]
    assert box.baseline(state).tolist() == [[0.0, 1.0, 2.0, 0.0], [3.0, 4.0, 5.0, 0.0]]


def test_trajectories_of_vectors_are_stacked():
    low, high = np.array([-1, 0], np.float32), np.array([1, 2], np.float32)
    space = Trajectory(3).space(Box(low, high))
    assert space.shape == (3, 2)
    assert space.high.tolist() == [[1.0, 2.0]] * 3
    assert Trajectory(3).baseline(torch.ones(4, 2)).shape == (4, 3, 2)


def test_the_whole_replay_is_merged_with_the_weights_of_each_group():
    replay = two_episodes()
    replay.add(rows([0, 1, 2, 3], [1, 0, 1], [1.0, 2.0, 4.0], terminated=True, truncated=False))
    batch, found = training_batch(StateAfter(2), replay, always_one(0.75), FIVE, None)
    table = {
        (int(s), int(a), int(f)): float(w)
        for s, a, f, w in zip(batch.state, batch.action, found, batch.weight, strict=True)
    }
    assert table == pytest.approx({(0, 1, 2): 1.0, (1, 0, 3): 3.0, (2, 1, 3): 2.0, (4, 0, 2): 0.5})


def test_a_replay_that_knows_no_future_yet_teaches_nothing():
    replay = Replay(10)
    replay.add(rows([4, 3, 2], [0, 0], [8.0, 16.0], terminated=False, truncated=True))
    batch, _ = training_batch(StateAfter(4), replay, always_one(0.5), FIVE, None)
    assert batch.weight.tolist() == [0.0]
    assert float(batch.mean(torch.tensor([3.0]))) == 0.0
    assert len(newly_known(StateAfter(4), replay, always_one(0.5), FIVE, 2)[0]) == 0
    with pytest.raises(
        InputError, match=r"^Expected replay to know what follows in 4 steps, but it is too short; learn"
    ):
        unweighted_batch(StateAfter(4), replay, always_one(0.5), FIVE, 3)


def test_fair_examples_are_drawn_by_their_weight():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        batch, found = unweighted_batch(StateAfter(2), two_episodes(), always_one(0.75), FIVE, 5_000)
    assert batch.weight.tolist() == [1.0] * 5_000
    share = torch.stack([(batch.state == s).float().mean() for s in range(5)])
    torch.testing.assert_close(share, torch.tensor([0.5, 1.5, 1.0, 0.0, 0.5]) / 3.5, atol=0.03, rtol=0)
    assert bool((found[batch.state == 0] == 2).all())


@pytest.mark.parametrize(
    ("text", "future"),
    [
        ("NextState", NextState()),
        (" NextState() ", NextState()),
        ("StateAfter(3)", StateAfter(3)),
        ("StateAfter(steps=3, most_weight=10.0)", StateAfter(3, most_weight=10.0)),
        ("FinalState(2)", FinalState(2)),
        ("Trajectory(2)", Trajectory(2)),
        ("Return(50, discount=0.9)", Return(50, discount=0.9)),
        ("Return(5, levels=(0.5, 1))", Return(5, levels=(0.5, 1.0))),
        ("NextStateAndReward(rewards=[0, 1])", NextStateAndReward((0.0, 1.0))),
    ],
)
def test_a_future_and_its_text(text: str, future: Any):
    assert future_from(text) == future
    assert future_from(written(future)) == future
    assert set(FUTURES) >= {type(future).__name__}


def test_a_users_future_has_no_text():
    class StateAfter(NextState):
        pass

    assert written(StateAfter()) is None
    assert written(Features(NextState(), lambda f: f, FIVE)) is None


class Nothing:
    pass


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: future_from("Later"),
            "Expected a future among NextState, NextStateAndReward, FinalState(steps), Stat",
        ),
        (lambda: future_from("StateAfter"), "Expected StateAfter(steps) with its own numbers, but got 'StateAfter': "),
        (lambda: future_from("StateAfter(x)"), "Expected a future among"),
        (lambda: future_from("StateAfter(3"), "Expected a future among"),
        (lambda: future_from("__import__('os').getcwd()"), "Expected a future among"),
        (lambda: future_from("StateAfter(0)"), "Expected StateAfter of at least 1 step, a whole number, but got 0."),
        (
            lambda: future_from("StateAfter(2.5)"),
            "Expected StateAfter of at least 1 step, a whole number, but got 2.5.",
        ),
        (lambda: StateAfter(2, most_weight=float("nan")), "Expected most_weight of at least 1, but got nan; 100"),
        (lambda: future_from(NextState), "Expected a future with the methods space and of, such as NextState(), but g"),
        (lambda: future_from(Nothing()), "Expected a future with the methods space and of, such as NextState(), but g"),
        (lambda: Return(3, discount=2.0), "Expected a discount in [0, 1], but got 2.0; 0.99 is a usual choice."),
        (
            lambda: Return(3, levels=(1.0, 0.0)),
            "Expected levels that increase, such as (0.0, 1.0), but got (1.0, 0.0).",
        ),
        (lambda: NextStateAndReward(("a",)), "Expected rewards that increase, such as (0.0, 1.0), but got ('a',)."),
        (
            lambda: NextStateAndReward().space(FIVE),
            "Expected the rewards that occur, as Discrete states need a finite f",
        ),
        (lambda: NextStateAndReward((0, 1)).space(Box(0, 1, (2,))), "Expected rewards only where states are Discrete"),
        (
            lambda: Trajectory(9).space(FIVE),
            "Expected at most 1,048,576 trajectories, but 5 states have 1,953,125 of 9",
        ),
        (lambda: Features(NextState(), 3, FIVE), "Expected features to be a function of a future, but got 3."),
        (
            lambda: Features(NextState(), abs, 3),
            "Expected the Gymnasium space of the features, Discrete(n) from 0 or a Box, but got 3.",
        ),
    ],
)
def test_mistakes_are_told(make: Callable[[], object], says: str):
    with pytest.raises(InputError, match="^" + re.escape(says)):
        make()


class Own:
    """F = 1 − s', of no use and without an exact counterpart."""

    def space(self, state_space: Any) -> Any:
        return state_space

    def of(self, transitions: Transitions) -> Tensor:
        return 4 - transitions.next_state


class TestOnesOwn:
    @pytest.mark.parametrize("named", ["Own", "own", "Own()", "Later(2)", "Later(steps=2)"])
    def test_a_text_may_name_a_file(self, tmp_path: Any, named: str):
        (tmp_path / "mine.py").write_text(
            "from tests.futures.test_reading import Own\nfrom gio_pyro.futures import StateAfter\n"
            "own = Own()\nclass Later(StateAfter):\n    pass\n"
        )
        found = future_from(f"{tmp_path / 'mine.py'}:{named}")
        assert type(unwrapped_future(found)).__name__ == named[0].upper() + named[1:].partition("(")[0]
        assert steps_of(found) == (2 if "2" in named else 0)

    @pytest.mark.parametrize(
        ("named", "says"),
        [
            ("Nothing", "Expected a future named 'Nothing' in "),
            ("Own(3)", "Expected "),
            ("number", "Expected a future with the methods space and of, such as NextState(), but got 3."),
        ],
    )
    def test_what_a_file_lacks_is_told(self, tmp_path: Any, named: str, says: str):
        (tmp_path / "mine.py").write_text("from tests.futures.test_reading import Own\nnumber = 3\n")
        with pytest.raises(GioError, match=f"^{re.escape(says)}"):
            future_from(f"{tmp_path / 'mine.py'}:{named}")

    def test_features_of_it_have_no_exact_counterpart(self):
        assert not has_exact(Features(Own(), lambda x: x, FIVE))
        assert has_exact(Features(NextState(), lambda x: x, FIVE))

    @pytest.mark.parametrize(
        ("function", "space", "says"),
        [
            (lambda x: 1 / 0, FIVE, "to take a tensor of shape (5,) and type int64, but it raised ZeroDivisionError"),
            (lambda x: x.numpy(), FIVE, "but got a ndarray"),
            (lambda x: x + 3, FIVE, "but got 5;"),
            (lambda x: x - 2, FIVE, "but got -1;"),
            (lambda x: x.float(), FIVE, "but got a tensor of shape (5,) and type float32"),
            (lambda x: x > 1, FIVE, "but got a tensor of shape (5,) and type bool"),
            (lambda x: x[:, None], FIVE, "but got a tensor of shape (5, 1) and type int64"),
            (lambda x: x[:, None] / 0.0, Box(-1, 1, (1,)), "but got inf;"),
            (lambda x: x[:, None] * torch.nan, Box(-1, 1, (1,)), "but got nan;"),
        ],
    )
    def test_a_function_must_stay_in_its_space(self, function: Any, space: Any, says: str):
        with pytest.raises(InputError, match=re.escape(says)):
            Features(NextState(), function, space).of(two_episodes().all())

    @pytest.mark.parametrize("future", [3, NextState, None])
    def test_features_are_of_a_future(self, future: Any):
        with pytest.raises(InputError, match=r"^Expected a future with the methods space and of"):
            Features(future, lambda x: x, FIVE)

    def test_features_count_from_0(self):
        with pytest.raises(InputError, match=r"^Expected the Gymnasium space of the features, Discrete\(n\) from 0"):
            Features(NextState(), lambda x: x, Discrete(2, start=3))


@pytest.mark.parametrize(
    ("rewards", "levels", "discount", "interval"),
    [([33.3] * 3, (99.9,), 1.0, 1), ([0.0, 1.0], (1 / 3,), 1 / 3, 1), ([0.0, 0.999], (1.0,), 1.0, 0)],
)
def test_a_sum_on_a_bound_belongs_above_it_whatever_the_rounding(
    rewards: list[float], levels: tuple[float, ...], discount: float, interval: int
):
    replay = Replay(8)
    n = len(rewards)
    replay.add(rows([0] * (n + 1), [0] * n, rewards, terminated=True, truncated=False))
    future = Return(n, discount, levels=levels)
    assert int(future.read(replay.sequences(None, n), FIVE)[0]) == interval
    exact = float(sum(discount**i * r for i, r in enumerate(rewards)))
    assert int(interval_of(torch.tensor([exact], dtype=torch.float64), torch.tensor(levels))) == interval
