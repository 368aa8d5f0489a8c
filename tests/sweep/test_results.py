"""Runs are read from their folders, and methods named by what differs. Cost: a second."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gio_pyro.errors import InputError
from gio_pyro.sweep.comparison import EVERY, compare
from gio_pyro.sweep.results import Result, read_curve, read_results, repeated
from gio_pyro.sweep.tables import methods_csv, pairs_csv, text_tables


def write_run(
    folder: Path, score: float | None = 1.0, *, environment: str = "A-v0", seed: int = 0, **given: Any
) -> Path:
    folder.mkdir(parents=True)
    recipe, guide = given.pop("recipe", None), given.pop("guide", "FlowGuide")
    config = {
        "steps": given.pop("steps", 100),
        "reported": given.pop("reported", True),
        "environment": {"id": environment, "kwargs": given.pop("kwargs", {})},
        "programs": {"model": "M", "guide": guide},
        "future": "NextState",
        "recipe": recipe,
        "registered": given.pop("registered", None),
        "settings": {"seed": seed, "temperature": 0.1, "signal": None, "hidden": [8]} | given,
    }
    (folder / "config.json").write_text(json.dumps(config))
    if score is not None:
        (folder / "summary.json").write_text(json.dumps({"return_after": score, "return_before": 0.0}))
    return folder


def methods(folder: Path, *by: str) -> set[str]:
    return {result.method for result in read_results([folder], by)}


class TestNames:
    def test_methods_are_named_by_what_differs_within_an_environment(self, tmp_path: Path):
        write_run(tmp_path / "a", temperature=0.1)
        write_run(tmp_path / "b", temperature=0.2, seed=1)
        write_run(tmp_path / "c", temperature=0.2, seed=2, hidden=[8, 8])
        write_run(tmp_path / "d", environment="B-v0", guide="UniformGuide")
        assert methods(tmp_path) == {
            "temperature=0.1 hidden=[8]",
            "temperature=0.2 hidden=[8]",
            "temperature=0.2 hidden=[8, 8]",
        }

    def test_settings_that_follow_from_a_recipe_are_left_out(self, tmp_path: Path):
        write_run(tmp_path / "a", recipe="vime", signal="InformationGain", temperature=0.1)
        write_run(tmp_path / "b", recipe="rnd", signal="RandomNetworkDistillation", temperature=0.1)
        write_run(tmp_path / "c", signal=None, temperature=0.1)
        assert methods(tmp_path) == {"vime", "rnd", "no recipe"}
        write_run(tmp_path / "d", recipe="rnd", signal="RandomNetworkDistillation", temperature=0.2)
        assert "rnd temperature=0.2" in methods(tmp_path)
        assert methods(tmp_path, "temperature") == {"temperature=0.1", "temperature=0.2"}

    def test_programs_and_parts_go_by_their_own_names_unless_that_is_ambiguous(self, tmp_path: Path):
        write_run(tmp_path / "a" / "1", guide="UniformGuide", signal="Novelty")
        write_run(tmp_path / "a" / "2", guide="UniformGuide")
        write_run(tmp_path / "a" / "3")
        assert methods(tmp_path / "a") == {"UniformGuide Novelty", "UniformGuide", "FlowGuide"}
        write_run(tmp_path / "b" / "1", explorer="Both", signal=None)
        write_run(tmp_path / "b" / "2", explorer=None, signal="Both")
        assert methods(tmp_path / "b", "explorer", "signal") == {
            "explorer=Both signal=none",
            "explorer=none signal=Both",
        }

    def test_where_nothing_differs_the_recipe_or_the_guide_is_the_name(self, tmp_path: Path):
        write_run(tmp_path / "a" / "1")
        assert methods(tmp_path / "a") == {"FlowGuide"}
        write_run(tmp_path / "b" / "1", recipe="vime")
        assert methods(tmp_path / "b") == {"vime"}

    def test_arguments_of_environments_tell_them_apart(self, tmp_path: Path):
        write_run(tmp_path / "a", kwargs={"max_episode_steps": 5, "gravity": 9})
        write_run(tmp_path / "b")
        assert {result.environment for result in read_results([tmp_path / "b"])} == {"A-v0"}
        write_run(tmp_path / "c", environment="B-v0", kwargs={"map_name": "4x4"})
        write_run(tmp_path / "d", environment="B-v0", kwargs={"map_name": "8x8"}, seed=1)
        assert {result.environment for result in read_results([tmp_path])} == {
            "A-v0 gravity=9 max_episode_steps=5", "A-v0", "B-v0 map_name=4x4", "B-v0 map_name=8x8",
        }  # fmt: skip
        lander = {"environment": "D-v0", "kwargs": {"continuous": True, "wind": 3}}
        write_run(tmp_path / "landers" / "1", registered=["continuous"], **lander)
        assert read_results([tmp_path / "landers"])[0].environment == "D-v0 wind=3"
        write_run(tmp_path / "landers" / "2", seed=1, **lander)  # of before config.json said which
        assert {result.environment for result in read_results([tmp_path / "landers"])} == {"D-v0 wind=3"}
        walls, other = [[1] * 20] * 2, [[0] * 20] * 2
        write_run(tmp_path / "mazes" / "1", environment="C-v0", kwargs={"walls": walls, "goals": 1})
        assert read_results([tmp_path / "mazes"])[0].environment == "C-v0 goals=1"
        write_run(tmp_path / "mazes" / "2", environment="C-v0", kwargs={"walls": other, "goals": 1})
        named = {result.environment for result in read_results([tmp_path / "mazes"])}
        assert named == {f"C-v0 goals=1 walls={maze}" for maze in (walls, other)}


class TestReading:
    def test_runs_without_a_return_are_counted_and_no_number_is_made_of_them(self, tmp_path: Path):
        for number, score in enumerate((1.0, 2.0, 4.0)):
            write_run(tmp_path / str(number), score, seed=number)
        write_run(tmp_path / "nothing yet", None, seed=4)
        write_run(tmp_path / "half", 9.0, seed=5, reported=False)
        (write_run(tmp_path / "cut", 9.0, seed=6) / "summary.json").write_text('{"return_af')
        (comparison,) = compare(read_results([tmp_path]))
        (method,) = comparison.methods
        assert (sorted(method.all), method.missing) == ([1, 2, 4], 3)
        assert "3 + 3 without return" in text_tables([comparison])

    def test_a_folder_that_is_named_twice_is_read_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        write_run(tmp_path / "sweeps" / "a" / "1")
        monkeypatch.chdir(tmp_path)
        given = [Path("sweeps"), Path("sweeps/a"), tmp_path / "sweeps" / "a" / "1"]
        assert len(read_results(given)) == 1

    def test_runs_that_repeat_another_are_counted(self, tmp_path: Path):
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            write_run(tmp_path / name, seed=seed)
        assert repeated(read_results([tmp_path])) == 1

    def test_a_folder_whose_config_is_damaged_is_a_run_without_a_return(self, tmp_path: Path):
        (write_run(tmp_path / "a") / "config.json").write_text("{")
        (result,) = read_results([tmp_path])
        assert math.isnan(result.score)
        assert "unknown environment" in text_tables(compare([result]))

    def test_tables_of_another_library_are_read_beside(self, tmp_path: Path):
        write_run(tmp_path / "runs" / "a", 3.0)
        (tmp_path / "sac.csv").write_text(
            "environment,method,seed,return\nA-v0,SAC,0,2.5\nA-v0,SAC,1,3.5\nA-v0,SAC,2,\n"
        )
        (comparison,) = compare(read_results([tmp_path / "runs", tmp_path / "sac.csv"]), against="SAC")
        assert [(method.name, *method.all) for method in comparison.methods] == [("FlowGuide", 3), ("SAC", 2.5, 3.5)]
        assert comparison.pair("FlowGuide").probability == 0.5  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("content", "message"),
        [("a,b\n1,2\n", "Expected the columns"), ("environment,method,seed,return\nA,m,x,1\n", "Expected numbers in")],
    )
    def test_another_table_is_refused(self, tmp_path: Path, content: str, message: str):
        (tmp_path / "t.csv").write_text(content)
        with pytest.raises(InputError) as caught:
            read_results([tmp_path / "t.csv"])
        assert str(caught.value).startswith(message)

    def test_mistakes(self, tmp_path: Path):
        with pytest.raises(InputError, match=r"^Expected run folders in"):
            read_results([tmp_path])
        write_run(tmp_path / "a")
        with pytest.raises(InputError, match=r"^Expected --by to name settings, but no run has 'colour'"):
            read_results([tmp_path], ["colour"])
        results = read_results([tmp_path])
        with pytest.raises(InputError, match=r"^Expected a method after --against among FlowGuide"):
            compare(results, against="SAC")
        with pytest.raises(InputError, match=r"^Expected a scale for each environment, but A-v0 has none"):
            compare(results, scale={"B-v0": (0, 1)})

    def test_a_curve_has_the_reports_after_the_first_episode_without_damaged_lines(self, tmp_path: Path):
        path = tmp_path / "metrics.csv"
        path.write_text("time/total_timesteps,x,rollout/ep_rew_mean\n5,1,nan\n10,1,2.5\n\0,1,2\n15,1\n20,1,3\n25,1,")
        steps, returns = read_curve(path)  # type: ignore[misc]
        assert steps.tolist() == [10, 20]
        assert returns.tolist() == [2.5, 3]
        for content in ("", "a,b\n1,2\n", "time/total_timesteps,rollout/ep_rew_mean\n1,nan\n"):
            path.write_text(content)
            assert read_curve(path) is None


def results(**scores: list[float]) -> list[Result]:
    return [
        Result(environment, method, seed, score * size, "", {}, (np.arange(3.0), np.full(3, score)))
        for environment, size in (("A-v0", 1), ("B-v0", 100))
        for method, each in scores.items()
        for seed, score in enumerate(each)
    ]


class TestComparison:
    def test_environments_on_one_scale_are_compared_together(self):
        given = results(good=[1.0, 2, 3, 4], bad=[0.0, 1, 1, 2])
        *each, together = compare(given, scale={"A-v0": (0, 4), "B-v0": (0, 400)})
        assert [comparison.environment for comparison in (*each, together)] == ["A-v0", "B-v0", EVERY]
        good, bad = together.methods
        assert (good.name, good.iqm) == ("good", 2.5 / 4)
        assert good.low > each[0].methods[0].low / 4, "twice the runs, a narrower interval"
        assert together.pair("bad").probability == pytest.approx(  # type: ignore[union-attr]
            np.mean([(b > g) + (b == g) / 2 for g in (1, 2, 3, 4) for b in (0, 1, 1, 2)])
        )
        assert bad.curve is None
        assert each[0].methods[0].curve.y.tolist() == pytest.approx([2.5] * 40)  # type: ignore[union-attr]

    def test_a_method_without_returns_is_last_and_compared_with_nothing(self):
        (comparison, _) = compare(results(none=[math.nan, math.nan], some=[1.0, 2]))
        assert [method.name for method in comparison.methods] == ["some", "none"]
        assert comparison.pairs == []
        assert comparison.reference == "some"
        assert "none,0,2,nan" in methods_csv([comparison])
        assert pairs_csv([comparison]).count("\n") == 1

    def test_the_order_of_runs_does_not_matter(self):
        given = results(a=[1.0, 2, 3], b=[3.0, 4, 5])
        assert text_tables(compare(given)) == text_tables(
            compare(sorted(given, key=lambda r: (r.environment, -r.seed)))
        )
