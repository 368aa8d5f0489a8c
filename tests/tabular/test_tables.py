"""Tables of numpy, torch, pandas and scipy.sparse are read the same, or raise one clear error."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro.errors import InputError
from gio_pyro.tabular import (
    TabularMDP,
    action_marginal,
    bayes,
    blahut_arimoto,
    expected_return,
    features,
    fixed_prior,
    intrinsic_bellman,
    marginal_over,
    mutual_information,
    next_state,
    policy_iteration,
    posterior,
)

ROWS = [[0.75, 0.25, 0.0], [0.0, 0.25, 0.75]]
EVEN = [[0.5, 0.5]] * 3
WORLD = TabularMDP([ROWS, ROWS, ROWS], [[0.0, 1.0]] * 3, discount=0.5)


def dense(kind: str) -> Callable[[Any], Any]:
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame
    return getattr(pytest.importorskip("scipy.sparse"), kind)


FORMS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda t: tuple(map(tuple, t)),
    "float32": lambda t: np.array(t, dtype=np.float32),
    "objects": lambda t: np.array([[Fraction(x) for x in row] for row in t], dtype=object),
    "decimals": lambda t: [[Decimal(x) for x in row] for row in t],
    "rows of arrays": lambda t: [np.array(row) for row in t],
    "rows of tensors": lambda t: [torch.tensor(row, requires_grad=True) for row in t],
    "half": lambda t: torch.tensor(t, dtype=torch.float16),
    "torch sparse": lambda t: torch.tensor(t).to_sparse(),
    "torch csr": lambda t: torch.tensor(t).to_sparse_csr(),
    **{kind: (lambda t, k=kind: dense(k)(t)) for kind in ("pandas", "csr_array", "coo_matrix", "dia_array")},
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_function_reads_a_table_in_any_form_that_holds_it(form: Callable[[Any], Any]):
    rows, even = form(ROWS), form(EVEN)
    calls: list[tuple[Callable[..., Any], Any, Any]] = [
        (lambda t: blahut_arimoto(t).capacity, rows, ROWS),
        (lambda t: mutual_information(t, [0.5, 0.5]), rows, ROWS),
        (lambda t: TabularMDP(t, [[0, 1]] * 3, discount=0.5).transition, [rows] * 3, [ROWS] * 3),
        (lambda t: TabularMDP([ROWS] * 3, t, discount=0.5).reward, even, EVEN),
        (lambda t: posterior(WORLD, t), even, EVEN),
        (lambda t: bayes(WORLD, t, WORLD.transition), even, EVEN),
        (lambda t: action_marginal(WORLD, t), even, EVEN),
        (lambda t: expected_return(WORLD, t, 3), even, EVEN),
        (lambda t: policy_iteration(WORLD, 1.0, t).value, even, EVEN),
        (lambda t: intrinsic_bellman(WORLD, EVEN, t, temperature=1.0), even, EVEN),
        (lambda t: fixed_prior(t)(WORLD, torch.tensor(EVEN).double(), WORLD.transition), even, EVEN),
    ]
    for function, given, plain in calls:
        torch.testing.assert_close(function(given), function(plain), atol=1e-12, rtol=0)


@pytest.mark.parametrize("scalar", [np.float64(0.5), np.float32(0.5), np.array(0.5), torch.tensor(0.5), Fraction(1, 2)])
def test_numbers_of_any_library_are_numbers(scalar: Any):
    assert TabularMDP([ROWS] * 3, EVEN, discount=scalar).discount == 0.5
    assert blahut_arimoto(ROWS, tolerance=scalar, max_iterations=np.int64(20)).iterations == 1


def test_levels_labels_and_visits_are_read_alike():
    pi = torch.tensor(EVEN, dtype=torch.float64)
    channel = features(next_state, np.array([0, 1, 1], dtype=np.uint8))(WORLD, pi)
    assert channel.tolist() == [[[0.75, 0.25], [0.0, 1.0]]] * 3
    assert marginal_over(np.ones(3, np.float32) / 3)(WORLD, pi, channel).shape == (3, 2)


def test_a_masked_entry_is_not_taken_for_its_number():
    table = np.ma.masked_array(ROWS, mask=[[True, False, False], [False] * 3])
    with pytest.raises(InputError, match=r"^Expected the channel as a table of real numbers, but got a MaskedArray"):
        blahut_arimoto(table)


def test_a_sparse_table_that_would_fill_the_memory_is_refused():
    huge = torch.sparse_coo_tensor(
        torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (10**6, 10**6), check_invariants=True
    )
    with pytest.raises(InputError, match=r"^Expected the channel of at most 1,073,741,824 numbers once written out"):
        blahut_arimoto(huge)


class Loop(gym.Env[Any, Any]):
    """A world that is its table."""

    observation_space, action_space = Discrete(2), Discrete(2)

    def __init__(self, table: Any, start: Any = None) -> None:
        self.P, self.initial_state_distrib = table, start


STAY = [(1.0, 0, 0.0, False)]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (5, "Expected env.P to be a dictionary or list of its states, but got 5"),
        ("P", "Expected env.P to be a dictionary or list of its states, but got 'P'"),
        ({}, "Expected env.P to have its states, but it is empty"),
        ({0: {}}, "Expected env.P to offer an action in some state, but it has none"),
        ({0: {0: STAY}, 1: {}}, "Expected an allowed action in every state, but state 1 has none"),
        ({0: {"left": STAY}}, "Expected the actions of env.P[0] to be whole numbers from 0 to 100000, but got 'left'"),
        (np.eye(2), "Expected a list of outcomes"),
        ({1: {0: STAY}}, "Expected env.P to have an entry 0"),
        ({0: {0: [(1.0, 0, 0.0)]}}, "Expected outcomes (probability, next state, reward, terminated) in env.P[0][0]"),
        ({0: {0: [7]}}, "Expected outcomes (probability, next state, reward, terminated) in env.P[0][0], but got 7"),
        ({0: {0: [(1.0, 1, 0.0, False)]}}, "Expected the next states of env.P[0][0] to be a whole number from 0 to 0"),
        ({0: {0: [(1.0, 0.5, 0.0, False)]}}, "Expected the next states of env.P[0][0] to be a whole number"),
        ({0: {0: [(1.0, 0, float("nan"), False)]}}, "Expected the rewards of env.P[0][0] to be a number"),
        ({0: {0: [(1.0, 0, np.zeros(2), False)]}}, "Expected the rewards of env.P[0][0] to be a number"),
        ({0: {0: [(1.0, 0, 0.0, "no")]}}, "Expected terminated in env.P[0][0] to be True or False, but got 'no'"),
        ({0: {0: [(1.0, 0, 0.0, None)]}}, "Expected terminated in env.P[0][0] to be True or False, but got None"),
        ({0: {0: [("1", 0, 0.0, False)]}}, "Expected non-negative probabilities in env.P, but got '1'"),
        ({0: {0: [(0.5, 0, 0.0, False)]}}, "Expected the rows of the transition table to sum to 1, but row (0, 0) of"),
    ],
)
def test_a_table_that_is_none_is_blamed_in_one_sentence(table: Any, says: str):
    with pytest.raises(InputError) as caught:
        TabularMDP.from_env(Loop(table))
    assert str(caught.value).startswith(says)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("start", [[1.0], [1.0, -1.0], [0.0, 0.0], "even", [float("nan"), 1.0]])
def test_a_start_that_is_none_is_blamed(start: Any):
    with pytest.raises(InputError, match=r"^Expected env\.initial_state_distrib "):
        TabularMDP.from_env(Loop([[STAY], [STAY]], start))


def test_a_table_of_lists_of_numpys_numbers_is_read():
    row = [(np.float32(1), np.int64(1), np.float64(2), np.bool_(False))]
    by_number = {np.int64(0): defaultdict(list, {0: row}), np.int64(1): {0: [(1, 0.0, 0, 0)]}}
    for table in (by_number, [[row], [[(Fraction(1), 0, Decimal(0), False)]]]):
        world = TabularMDP.from_env(Loop(table, np.array([2, 2])), discount=0.5)
        assert world.transition.tolist() == [[[0.0, 1.0]], [[1.0, 0.0]]]
        assert (world.reward.tolist(), world.start.tolist()) == ([[2.0], [0.0]], [0.5, 0.5])
