import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import grid_world, klyubin_maze
from gio_pyro.tabular.grids import KLYUBIN_WALLS


def test_moves_are_stay_north_south_east_west():
    assert grid_world(3, 3).transition[4].argmax(-1).tolist() == [4, 7, 1, 5, 3]


def test_a_move_off_the_grid_stays():
    assert grid_world(2, 2).transition[0].argmax(-1).tolist() == [0, 2, 0, 1, 0]


def test_a_wall_stops_from_both_sides():
    grid = grid_world(1, 2, (((0, 0), (0, 1)),))
    assert grid.transition.argmax(-1).tolist() == [[0] * 5, [1] * 5]


def test_noise_carries_out_another_action():
    noisy = grid_world(3, 3, noise=0.2).transition[4, 1]
    assert noisy[[7, 4, 1, 5, 3]].tolist() == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])


def test_the_maze_is_ten_by_ten_with_22_walls():
    maze = klyubin_maze()
    assert (maze.states, maze.actions, len(set(KLYUBIN_WALLS))) == (100, 5, 22)
    assert (maze.reward == 0).all()
    assert maze.transition[10].argmax(-1).tolist() == [10, 10, 0, 11, 10]


def test_every_wall_of_the_maze_parts_two_neighbours():
    for (row, column), (other_row, other_column) in KLYUBIN_WALLS:
        assert abs(row - other_row) + abs(column - other_column) == 1


def test_noise_of_the_maze_keeps_rows_that_sum_to_one():
    torch.testing.assert_close(klyubin_maze(noise=0.1).transition.sum(-1), torch.ones(100, 5, dtype=torch.float64))


@pytest.mark.parametrize(("rows", "columns", "noise"), [(0, 3, 0.0), (3, 0, 0.0), (3, 3, -0.1), (3, 3, 1.1)])
def test_a_grid_has_cells_and_its_noise_is_a_probability(rows: int, columns: int, noise: float):
    with pytest.raises(InputError, match=r"^Expected a grid of at least 1 x 1 and noise in \[0, 1\], but got .+\.$"):
        grid_world(rows, columns, noise=noise)
