"""Goals in finite worlds, against breadth first through the transition table and closed forms.

Cost: 3 s.
"""

import pytest
import torch
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers import FiniteGoals, GoalExplorer
from gio_pyro.explorers.goals import drawn_goal, worth
from gio_pyro.programs import log_probs
from gio_pyro.tabular import TabularMDP
from tests.explorers.worlds import distances, everything, maze, replay_of, source_of, table

MDP = table()
FAR = distances(MDP)
START = int(MDP.start.argmax())


@pytest.fixture(autouse=True)
def private_numbers():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def learned(horizon: int = 20, mdp: TabularMDP = MDP) -> GoalExplorer:
    explorer = GoalExplorer(source_of(mdp.states, mdp.actions), horizon)
    replay = replay_of(everything(mdp))
    for step in range(30):
        explorer.improve(replay, step)
    return explorer


def steps_to(explorer: GoalExplorer, start: int, goal: int, mdp: TabularMDP = MDP, most: int = 100) -> float:
    """How many most probable actions it takes, in a deterministic world."""
    state = start
    for step in range(1, most):
        pair = explorer.goals.join(torch.tensor([state]), torch.tensor([goal]))
        action = int(explorer.control.policy.mode(pair))
        state = int(mdp.transition[state, action].argmax())
        if state == goal:
            return step
        if mdp.terminal[state]:
            return torch.inf
    return torch.inf


def test_every_goal_is_reached_by_a_shortest_way_from_everywhere():
    """Against breadth first through the environment's own table; cells behind walls are never seen."""
    explorer = learned()
    walked = [s for s in range(MDP.states) if FAR[START, s].isfinite()]
    assert len(walked) == 12
    compared = 0
    for start in walked:
        for goal in walked:
            if start != goal and not MDP.terminal[start]:
                assert steps_to(explorer, start, goal) == float(FAR[start, goal]), (start, goal)
                compared += 1
    assert compared == 11 * 11


def test_its_values_are_the_discounted_distances():
    """Q(s, a | g) = γ^(d(s', g)) at temperature 0, and less by at most what the entropy costs on the way."""
    explorer = learned()
    rows = everything(MDP)
    discount = 1 - 1 / 20
    for goal in (START, 4, 14):
        expected = discount ** FAR[rows.next_state, goal]
        expected[MDP.terminal[rows.next_state] & (rows.next_state != goal)] = 0
        found = explorer.control.critic.q[
            explorer.goals.join(rows.state, torch.full_like(rows.state, goal)), rows.action
        ]
        assert float((expected - found).min()) > -1e-4
        assert float((expected - found).max()) < 0.001 * torch.tensor(4.0).log() * 20


@pytest.mark.parametrize("horizon", [1, 3, 100])
def test_what_is_reachable_is_what_breadth_first_finds(horizon: int):
    goals = FiniteGoals(source_of(MDP.states).fitted.spec.state_space, horizon)
    graph = goals.survey(replay_of(everything(MDP)), lambda rows: torch.ones(len(rows)))
    for start in range(MDP.states):
        if FAR[START, start].isfinite():
            found, _ = goals.candidates(graph, torch.tensor(start))
            expected = ((FAR[start] <= horizon) & (FAR[start] > 0)).nonzero().flatten()
            assert torch.equal(found, expected)


def test_what_lies_behind_the_end_of_an_episode_is_not_reachable():
    """A corridor 0 → 1 → 2 whose middle ended the episode when entered from 0, and was left for 2 another time."""
    rows = everything(MDP)[:2]
    rows.state.copy_(torch.tensor([0, 1]))
    rows.next_state.copy_(torch.tensor([1, 2]))
    rows.terminated.copy_(torch.tensor([True, False]))
    goals = FiniteGoals(source_of(3).fitted.spec.state_space, 5)
    graph = goals.survey(replay_of(rows), lambda rows: torch.ones(len(rows)))
    assert goals.candidates(graph, torch.tensor(0))[0].tolist() == [1]
    assert goals.candidates(graph, torch.tensor(1))[0].tolist() == [2]


def test_a_state_is_worth_the_mean_signal_of_the_transitions_that_arrived_there():
    rows = everything(MDP)
    rows = rows[torch.cat([torch.arange(len(rows)), torch.zeros(2, dtype=torch.long)])]  # the first three times
    signal = torch.rand(MDP.states, MDP.actions)
    goals = FiniteGoals(source_of(MDP.states).fitted.spec.state_space, 5)
    graph = goals.survey(replay_of(rows), lambda rows: signal[rows.state, rows.action])
    for state in range(MDP.states):
        into = rows.next_state == state
        if bool(into.any()):
            expected = signal[rows.state[into], rows.action[into]].mean()
            assert float(graph.value[state]) == pytest.approx(float(expected), rel=1e-5)
        else:
            assert graph.value[state].isnan()


def shares(values: Tensor, start: int, horizon: int, draws: int) -> Tensor:
    explorer = GoalExplorer(source_of(MDP.states, values=values), horizon)
    act_from = torch.tensor([start])
    replay, count = replay_of(everything(MDP)), torch.zeros(MDP.states)
    act = explorer.behaviour(replay)
    for _ in range(draws):
        explorer.begin(torch.tensor([0]))
        act(act_from, torch.tensor([0]))
        count[explorer.goal] += 1
    return count / draws


def test_goals_are_drawn_in_proportion_to_the_signal_among_what_is_reachable():
    """p(g) = signal(g) / Σ signal over the states within the horizon; 4 standard errors of 1,000 draws."""
    values = torch.rand(MDP.states)
    values[1] = 0.0
    found = shares(values, START, 4, 1_000)
    weight = torch.where((FAR[START] <= 4) & (FAR[START] > 0), values, 0.0)
    expected = weight / weight.sum()
    assert bool((found[expected == 0] == 0).all())
    assert bool(((found - expected).abs() <= 4 * (expected * (1 - expected) / 1_000).sqrt()).all())


def test_where_nothing_is_unknown_no_goal_is_set_and_it_wanders_evenly():
    explorer = GoalExplorer(source_of(MDP.states, values=torch.zeros(MDP.states), uniform_share=0.0), 4)
    act = explorer.behaviour(replay_of(everything(MDP)))
    taken = [act(torch.tensor([START]), torch.tensor([0])) for _ in range(40)]
    assert not bool(explorer.pursuing.any())
    assert {int(action) for action, _ in taken} == {0, 1, 2, 3}
    assert all(float(log_mu) == pytest.approx(-torch.tensor(4.0).log().item()) for _, log_mu in taken)


@pytest.mark.parametrize(
    ("value", "expected"),
    [([1.0, 0.0, 3.0], [1, 0, 3]), ([-2.0, 0.0, -1.0], [0, 2, 1]), ([], []), ([0.0, 0.0], [0, 0])],
)
def test_weights_are_the_values_or_what_they_exceed_the_least_by(value: list[float], expected: list[float]):
    assert worth(torch.tensor(value)).tolist() == expected


def test_no_goal_is_drawn_from_nothing():
    none = torch.zeros(0)
    assert drawn_goal(none, none) is None
    assert drawn_goal(torch.arange(2), torch.zeros(2)) is None
    assert drawn_goal(torch.arange(2), torch.full((2,), -3.0)) is None
    assert int(drawn_goal(torch.arange(2), torch.tensor([0.0, 2.0]))) == 1


class TestPursuit:
    """Two environments, a horizon of 3, two steps of wandering; only one state is worth anything."""

    def explorer(self) -> GoalExplorer:
        values = torch.zeros(MDP.states)
        values[10] = 1.0  # two steps below the start
        explorer = GoalExplorer(source_of(MDP.states, values=values, streams=2), 3, wander=2)
        explorer.both, explorer.known = torch.arange(2), replay_of(everything(MDP))
        return explorer

    def test_a_goal_is_held_until_it_is_reached_and_then_it_wanders(self):
        explorer = self.explorer()
        act = explorer.behaviour(explorer.known)
        act(torch.tensor([START, START]), explorer.both)
        assert explorer.goal.tolist() == [10, 10]
        assert explorer.pursuing.tolist() == [True, True]
        explorer.on_step(torch.tensor([5, 10]), explorer.both)
        assert (explorer.pursuing.tolist(), explorer.left.tolist()) == ([True, False], [2, 2])
        explorer.on_step(torch.tensor([5, 5]), explorer.both)
        explorer.on_step(torch.tensor([5, 5]), explorer.both)
        assert explorer.left.tolist() == [0, 0]
        act(torch.tensor([5, 10]), explorer.both)  # the second is there: nothing else is worth a step
        assert (explorer.pursuing.tolist(), explorer.left.tolist()) == ([True, False], [3, 2])
        assert explorer.tally.tolist() == [3, 1]

    def test_a_turn_that_begins_drops_the_goal_of_that_environment_alone(self):
        explorer = self.explorer()
        explorer.behaviour(explorer.known)(torch.tensor([START, START]), explorer.both)
        explorer.begin(torch.tensor([1]))
        assert (explorer.pursuing.tolist(), explorer.left.tolist()) == ([True, False], [3, 0])

    def test_log_mu_is_that_of_the_policy_for_the_goal_or_of_uniform_actions(self):
        explorer = self.explorer()
        for step in range(20):
            explorer.improve(explorer.known, step)
        act = explorer.behaviour(explorer.known)
        action, log_mu = act(torch.tensor([START, 10]), explorer.both)
        pair = explorer.goals.join(torch.tensor([START]), torch.tensor([10]))
        best = int(explorer.control.policy.mode(pair))
        probability = 0.8 * (int(action[0]) == best) + 0.2 / 4
        assert log_mu.exp().tolist() == pytest.approx([probability, 0.25])


def test_where_replay_is_empty_it_wanders():
    explorer = GoalExplorer(source_of(MDP.states, values=torch.ones(MDP.states)))
    action, log_mu = explorer.behaviour(Replay(10))(torch.tensor([0]), torch.tensor([0]))
    assert (action.shape, float(log_mu.exp())) == ((1,), pytest.approx(0.25))


def test_many_states_learn_about_some_goals_at_a_time():
    mdp = TabularMDP.from_env(maze())
    explorer = GoalExplorer(source_of(100, 2))
    rows = everything(mdp)[torch.zeros(100, dtype=torch.long)]
    rows.state.copy_(torch.arange(100))
    rows.next_state.copy_((torch.arange(100) + 1) % 100)
    rows.action.fill_(0)
    found = explorer.goals.relabelled(replay_of(rows), None)
    assert len(found) == 64 * 100
    assert int(found.terminated.sum()) == 64
    assert torch.equal(found.terminated, found.reward == 1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"horizon": 0}, "Expected horizon of the explorer Goals to be a whole number of at least 1, but got 0; "),
        ({"horizon": 2.5}, "Expected horizon of the explorer Goals to be a whole number of at least 1, but got 2.5; "),
        ({"wander": -1}, "Expected wander of the explorer Goals to be a whole number of at least 0, but got -1; "),
        ({"near": 0}, "Expected near of the explorer Goals to be a distance above 0, but got 0; "),
        ({"near": "far"}, "Expected near of the explorer Goals to be a distance above 0, but got 'far'; "),
    ],
)
def test_mistakes_are_told(settings: dict, says: str):
    with pytest.raises(InputError) as caught:
        GoalExplorer(source_of(4), **settings)
    assert str(caught.value).startswith(says)


def test_too_many_states_are_refused():
    with pytest.raises(InputError, match=r"^Expected at most 1000 states to set goals among, but got 1001; .*\.$"):
        GoalExplorer(source_of(1_001))


def test_it_is_uniform_where_a_goal_is_not_known():
    explorer = learned()
    pair = explorer.goals.join(torch.tensor([START]), torch.tensor([22]))
    torch.testing.assert_close(log_probs(explorer.control.policy(pair)).exp(), torch.full((1, 4), 0.25))
