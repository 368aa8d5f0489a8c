import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gio_pyro.plotting import plots
from gio_pyro.plotting.grid import Grid
from gio_pyro.plotting.plots import ARROWS, empowerment_map, learning_curve, policy_map, text_map

GRID = Grid(2, 3, tuple("SFFFHG"))
METRICS = {
    "time/total_timesteps": [500.0, 1000.0, 1500.0],
    "rollout/ep_rew_mean": [math.nan, 0.1, 0.3],
    "intrinsic/nats": [0.0, 0.2, 0.4],
}


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written into the cells of the next map."""
    written: list[str] = []

    def read(path: Path, grid: Grid, numbers: Any, title: str, mark: Any) -> None:
        written.extend(mark(state) for state in range(grid.rows * grid.columns))

    monkeypatch.setattr(plots, "_map", read)
    return written


def size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        found: tuple[int, int] = image.size
        return found


class TestLearningCurve:
    @pytest.mark.parametrize("references", [{}, {"optimal": 0.7, "uniform": 0.0}], ids=["no lines", "lines"])
    def test_is_a_picture(self, tmp_path: Path, references: dict[str, float]):
        learning_curve(tmp_path / "a.png", {**METRICS, "exact/return": [0.0, 0.2, 0.4]}, references)
        width, height = size(tmp_path / "a.png")
        assert 600 < width < 2000
        assert 200 < height < 1000

    def test_one_round_and_no_episode_are_enough(self, tmp_path: Path):
        learning_curve(tmp_path / "a.png", {name: column[:1] for name, column in METRICS.items()}, {})
        assert size(tmp_path / "a.png")

    def test_a_single_number_is_a_dot_and_several_are_a_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        figures: list[Any] = []
        monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
        learning_curve(tmp_path / "a.png", {name: column[-1:] for name, column in METRICS.items()}, {})
        learning_curve(tmp_path / "a.png", {**METRICS, "rollout/ep_rew_mean": [math.nan, 0.1, math.nan]}, {})
        markers = [[axes.lines[0].get_marker() for axes in figure.axes] for figure in figures]
        assert markers == [["o", "o"], ["o", "None"]]

    def test_information_that_is_negative_does_not_fall_out(self, tmp_path: Path):
        learning_curve(tmp_path / "a.png", {**METRICS, "intrinsic/nats": [-3.0, -2.0, -1.0]}, {})
        learning_curve(tmp_path / "b.png", {**METRICS, "intrinsic/nats": [math.nan] * 3}, {})
        assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()

    def test_episodes_since_the_last_report_are_drawn_where_there_were_any(self, tmp_path: Path):
        latest = {plots.LATEST: [math.nan, 0.1, math.nan]}
        learning_curve(tmp_path / "a.png", {**METRICS, **latest}, {})
        learning_curve(tmp_path / "b.png", {**METRICS, plots.LATEST: [0.0, 0.1, 0.9]}, {})
        learning_curve(tmp_path / "c.png", {**METRICS, plots.LATEST: [math.nan] * 3}, {})
        assert len({(tmp_path / f"{name}.png").read_bytes() for name in "abc"}) == 3

    def test_before_the_first_episode_has_ended_there_is_a_picture(self, tmp_path: Path):
        nothing = {"rollout/ep_rew_mean": [math.nan] * 3, plots.LATEST: [math.nan] * 3}
        learning_curve(tmp_path / "a.png", {**METRICS, **nothing}, {"untrained": -1200.0})
        assert size(tmp_path / "a.png")

    def test_what_the_guide_pays_is_named(self, tmp_path: Path):
        for name in ("MI bound", "intrinsic reward"):
            learning_curve(tmp_path / f"{name}.png", METRICS, {}, information=name)
        assert (tmp_path / "MI bound.png").read_bytes() != (tmp_path / "intrinsic reward.png").read_bytes()

    def test_the_same_numbers_are_the_same_file(self, tmp_path: Path):
        for name in ("a.png", "b.png"):
            learning_curve(tmp_path / name, METRICS, {"optimal": 1.0})
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


class TestPolicyMap:
    def test_is_a_picture(self, tmp_path: Path):
        policy_map(tmp_path / "a.png", GRID, np.arange(6.0), np.full((6, 4), 0.25), ARROWS["FrozenLake"])
        assert all(100 < side < 2000 for side in size(tmp_path / "a.png"))

    @pytest.mark.parametrize(
        "value", [[math.nan] * 6, [0.0] * 6, [math.nan, 1, 2, 3, 4, 5]], ids=["none", "flat", "some"]
    )
    def test_values_that_are_blank_or_equal_are_drawn(self, tmp_path: Path, value: list[float]):
        policy_map(tmp_path / "a.png", GRID, np.array(value), np.full((6, 4), 0.25), None)
        assert size(tmp_path / "a.png")

    def test_holes_and_the_goal_keep_their_letters_and_others_get_arrows(self, tmp_path: Path, marks: list[str]):
        policy = np.eye(4)[[0, 1, 2, 3, 0, 0]]
        policy_map(tmp_path / "a.png", GRID, np.zeros(6), policy, ARROWS["FrozenLake"])
        assert marks == ["←", "↓", "→", "↑", "H", "G"]

    def test_two_likely_actions_are_two_arrows(self, tmp_path: Path, marks: list[str]):
        policy_map(tmp_path / "a.png", GRID, np.zeros(6), np.array([[0.5, 0.0, 0.5, 0.0]] * 6), "←↓→↑")
        assert marks[0] == "←→"

    def test_without_arrows_there_are_labels(self, tmp_path: Path, marks: list[str]):
        policy_map(tmp_path / "a.png", GRID, np.zeros(6), np.full((6, 4), 0.25), None)
        assert marks == list("SFFFHG")

    @pytest.mark.parametrize("env", ["FrozenLake", "CliffWalking"])
    def test_arrows_point_where_the_actions_go(self, env: str):
        import gymnasium

        world = gymnasium.make(f"{env}-v1", is_slippery=False).unwrapped
        rows, columns = np.shape(world.desc) if hasattr(world, "desc") else world.shape
        start = columns + 1  # the second cell of the second row, from which every move is free
        step = {"←": -1, "→": 1, "↑": -columns, "↓": columns}
        table = world.P[start] if world.P[start][0][0][1] != start else world.P[2 * columns + 2]
        origin = start if table is world.P[start] else 2 * columns + 2
        assert [int(table[a][0][1]) - origin for a in range(4)] == [step[arrow] for arrow in ARROWS[env]]
        assert rows > 2


class TestEmpowermentMap:
    def test_is_a_picture_with_a_number_in_each_cell(self, tmp_path: Path, marks: list[str]):
        empowerment_map(tmp_path / "a.png", GRID, np.array([0.0, 0.5, 1.0, 1.386, 0.1, 2.0]), 3)
        assert marks == ["0.00\nstart", "0.50", "1.00", "1.39", "0.10\nhole", "2.00\ngoal"]

    def test_walls_have_no_number_and_thin_ones_are_lines(self, tmp_path: Path, marks: list[str]):
        grid = Grid(1, 3, ("S", "#", "."), frozenset({frozenset((0, 1))}), south_first=True)
        empowerment_map(tmp_path / "a.png", grid, np.array([0.5, 0.0, math.nan]), 1)
        assert marks == ["0.50\nstart", "wall", ""]
        assert plots._between(0, 1, 3) == ((0.5, 0.5), (-0.5, 0.5))
        assert plots._between(1, 4, 3) == ((0.5, 1.5), (0.5, 0.5))

    def test_a_world_of_equal_cells_is_drawn(self, tmp_path: Path):
        empowerment_map(tmp_path / "a.png", GRID, np.zeros(6), 1)
        assert size(tmp_path / "a.png")

    @pytest.mark.parametrize("shape", [(1, 1), (1, 20), (20, 1), (4, 12)])
    def test_grids_of_any_shape_are_drawn(self, tmp_path: Path, shape: tuple[int, int]):
        cells = shape[0] * shape[1]
        empowerment_map(tmp_path / "a.png", Grid(*shape, ("",) * cells), np.arange(float(cells)), 1)
        assert size(tmp_path / "a.png")


def test_text_has_a_line_for_each_row_and_columns_that_align():
    lines = text_map(GRID, [0.0, 1.5, 10.25, -0.1, 2.0, 3.0]).splitlines()
    assert [[float(number) for number in line.split()] for line in lines] == [[0.0, 1.5, 10.25], [-0.1, 2.0, 3.0]]
    assert len({len(line) for line in lines}) == 1


def test_pyplot_is_neither_needed_nor_touched(tmp_path: Path):
    from matplotlib import pyplot

    pyplot.switch_backend("Agg")
    before = pyplot.get_fignums(), dict(pyplot.rcParams)
    learning_curve(tmp_path / "a.png", METRICS, {})
    assert (pyplot.get_fignums(), dict(pyplot.rcParams)) == before
