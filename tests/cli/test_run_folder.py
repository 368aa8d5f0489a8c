import json
import math
import os
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from gio_pyro import GIO
from gio_pyro.cli.run_folder import RunFolder
from gio_pyro.errors import InputError
from tests.environments import make

ROW = {"time/total_timesteps": 500.0, "rollout/ep_rew_mean": math.nan, "intrinsic/nats": 0.25}


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    made = RunFolder.create(tmp_path / "run", "FrozenLake-v1")
    yield made
    made.close()


class TestCreate:
    def test_makes_the_folder_and_its_parents(self, tmp_path: Path):
        assert RunFolder.create(tmp_path / "a" / "b", "World-v0").path.is_dir()

    def test_refuses_a_folder_that_is_there(self, tmp_path: Path):
        with pytest.raises(InputError, match="--resume"):
            RunFolder.create(tmp_path, "World-v0")

    def test_refuses_a_file_and_what_is_below_it(self, tmp_path: Path):
        (tmp_path / "file").write_text("mine")
        for path in (tmp_path / "file", tmp_path / "file" / "run"):
            with pytest.raises(InputError, match="Expected"):
                RunFolder.create(path, "World-v0")
        assert (tmp_path / "file").read_text() == "mine"

    def test_refuses_a_link_that_leads_nowhere(self, tmp_path: Path):
        (tmp_path / "link").symlink_to(tmp_path / "absent")
        with pytest.raises(InputError, match="Expected"):
            RunFolder.create(tmp_path / "link", "World-v0")

    def test_what_was_made_can_be_removed_and_its_neighbours_stay(self, tmp_path: Path):
        (tmp_path / "mine").mkdir()
        made = RunFolder.create(tmp_path / "run", "World-v0")
        made.log(ROW)
        made.remove()
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_numbers_folders_from_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        names = [str(RunFolder.create(None, "World-v0").path) for _ in range(3)]
        assert names == [os.path.join("runs", f"World-v0-00{number}") for number in (1, 2, 3)]

    def test_a_number_is_not_taken_again_where_a_later_one_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(tmp_path)
        first = RunFolder.create(None, "World-v0").path
        (first / "config.json").write_text("{}")
        assert RunFolder.create(None, "World-v0").path != first
        assert (first / "config.json").read_text() == "{}"

    @pytest.mark.parametrize("name", ["Space/World-v0", "module:World-v0", "../World-v0", "a/../../World-v0"])
    def test_a_name_with_a_slash_or_colon_stays_in_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ):
        monkeypatch.chdir(tmp_path)
        made = RunFolder.create(None, name).path
        assert made.resolve().parent == (tmp_path / "runs").resolve()

    def test_a_file_called_runs_is_an_input_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "runs").write_text("mine")
        with pytest.raises(InputError, match="Expected"):
            RunFolder.create(None, "World-v0")


class TestConfig:
    def test_is_readable_text_with_every_setting(self, folder: RunFolder):
        folder.write_config(GIO("FrozenLake-v1", temperature=0.3, guide="BayesGuide"))
        config = json.loads((folder.path / "config.json").read_text())
        assert config["settings"]["temperature"] == 0.3
        assert config["programs"] == {"model": "CategoricalModel", "guide": "BayesGuide"}
        assert config["environment"] == {"id": "FrozenLake-v1", "kwargs": {"map_name": "4x4", "max_episode_steps": 100}}
        assert config["future"] == "NextState"
        assert {*config["registered"]} == {"map_name", "max_episode_steps"}

    def test_says_which_arguments_an_environment_is_registered_with(self, folder: RunFolder):
        folder.write_config(GIO(gym.make("FrozenLake-v1", map_name="8x8")))
        assert json.loads((folder.path / "config.json").read_text())["registered"] == ["max_episode_steps"]

    def test_an_environment_without_a_spec_is_null(self, folder: RunFolder):
        folder.write_config(GIO(make()))
        assert json.loads((folder.path / "config.json").read_text())["environment"] is None


class TestJson:
    def test_what_is_not_finite_is_null(self, folder: RunFolder):
        folder.write_json("a.json", {"a": math.nan, "b": {"c": math.inf, "d": -math.inf}, "e": 1.5})
        assert json.loads((folder.path / "a.json").read_text()) == {"a": None, "b": {"c": None, "d": None}, "e": 1.5}

    def test_lists_may_hold_what_is_not_finite(self, folder: RunFolder):
        folder.write_json("a.json", {"a": [1.0, math.nan]})
        assert json.loads((folder.path / "a.json").read_text()) == {"a": [1.0, None]}

    @pytest.mark.parametrize("text", [None, "", "{", "[1]", "3", '{"a": '])
    def test_what_is_not_there_or_not_whole_is_read_as_nothing(self, folder: RunFolder, text: str | None):
        if text is not None:
            (folder.path / "a.json").write_text(text)
        assert folder.read_json("a.json") == {}

    def test_is_read_as_it_was_written(self, folder: RunFolder):
        folder.write_json("a.json", {"a": [1, None], "b": {"c": "d"}})
        assert folder.read_json("a.json") == {"a": [1, None], "b": {"c": "d"}}

    def test_replaces_at_once_and_leaves_no_part(self, folder: RunFolder, monkeypatch: pytest.MonkeyPatch):
        folder.write_json("a.json", {"a": 1})

        def fail(*_: object) -> None:
            raise OSError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fail)
            with pytest.raises((OSError, InputError)):
                folder.write_json("a.json", {"a": 2})
        assert [path.name for path in folder.path.iterdir()] == ["a.json"]
        assert json.loads((folder.path / "a.json").read_text()) == {"a": 1}
        folder.write_json("a.json", {"a": 3})
        assert [path.name for path in folder.path.iterdir()] == ["a.json"]


class TestMetrics:
    def test_are_empty_before_the_first_round(self, folder: RunFolder):
        assert folder.metrics() == {}

    def test_come_back_as_they_were_written(self, folder: RunFolder):
        folder.log(ROW)
        folder.log({**ROW, "time/total_timesteps": 1000.0, "rollout/ep_rew_mean": 1 / 3})
        columns = folder.metrics()
        assert columns["time/total_timesteps"] == [500.0, 1000.0]
        assert math.isnan(columns["rollout/ep_rew_mean"][0])
        assert columns["rollout/ep_rew_mean"][1] == 1 / 3

    def test_have_one_header(self, folder: RunFolder):
        for _ in range(3):
            folder.log(ROW)
        assert (folder.path / "metrics.csv").read_text().count("intrinsic/nats") == 1

    def test_are_appended_by_a_folder_that_is_opened_again(self, folder: RunFolder):
        folder.log(ROW)
        again = RunFolder(folder.path)
        again.log({**ROW, "time/total_timesteps": 1000.0})
        again.close()
        assert folder.metrics()["time/total_timesteps"] == [500.0, 1000.0]

    def test_columns_in_another_order_go_where_they_belong(self, folder: RunFolder):
        folder.log(ROW)
        folder.log(dict(reversed(ROW.items())))
        assert folder.metrics()["time/total_timesteps"] == [500.0, 500.0]

    @pytest.mark.parametrize("text", ["", "time/total_timesteps,rollout/ep_rew_mean,intrinsic/nats\r\n"])
    def test_a_file_without_rows_is_no_columns(self, folder: RunFolder, text: str):
        (folder.path / "metrics.csv").write_text(text)
        assert folder.metrics() == {}

    def test_a_file_that_was_left_empty_gets_its_header(self, folder: RunFolder):
        (folder.path / "metrics.csv").write_text("")
        folder.log(ROW)
        assert folder.metrics()["time/total_timesteps"] == [500.0]

    def test_a_row_that_was_cut_off_does_not_spoil_those_before(self, folder: RunFolder):
        folder.log(ROW)
        folder.log(ROW)
        whole = (folder.path / "metrics.csv").read_bytes()
        (folder.path / "metrics.csv").write_bytes(whole[:-8])
        assert folder.metrics()["time/total_timesteps"][0] == 500.0

    def test_a_figure_that_comes_later_is_nan_in_the_rows_before(self, folder: RunFolder):
        folder.log(ROW)
        folder.log({**ROW, "time/total_timesteps": 1000.0, "train/critic_loss": 2.0})
        folder.log({**ROW, "time/total_timesteps": 1500.0})
        columns = folder.metrics()
        assert columns["time/total_timesteps"] == [500.0, 1000.0, 1500.0]
        assert columns["intrinsic/nats"] == [0.25] * 3
        assert [math.isnan(loss) for loss in columns["train/critic_loss"]] == [True, False, True]
        assert (folder.path / "metrics.csv").read_text().count("time/total_timesteps") == 1
        assert not list(folder.path.glob("*.part"))

    def test_a_new_figure_does_not_change_what_was_written(self, folder: RunFolder):
        first = {**ROW, "a": 1 / 3, "b": 1e-300}
        folder.log(first)
        folder.log({**ROW, "c": 0.1})
        assert {name: column[0] for name, column in folder.metrics().items() if name in ("a", "b")} == {
            "a": 1 / 3,
            "b": 1e-300,
        }

    def test_rewinding_drops_later_rows_and_keeps_the_columns(self, folder: RunFolder):
        for step in (500.0, 1000.0, 1500.0):
            folder.log({**ROW, "time/total_timesteps": step})
        folder.rewind(1000)
        assert folder.metrics()["time/total_timesteps"] == [500.0, 1000.0]
        folder.log({**ROW, "time/total_timesteps": 1500.0})
        assert folder.metrics()["time/total_timesteps"] == [500.0, 1000.0, 1500.0]

    def test_nan_is_left_out_of_tensorboard(self, folder: RunFolder):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        folder.log(ROW)
        folder.close()
        events = EventAccumulator(str(folder.path / "tensorboard"))
        events.Reload()
        assert "rollout/ep_rew_mean" not in events.Tags()["scalars"]

    def test_tensorboard_has_the_same_figures(self, folder: RunFolder):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        folder.log(ROW)
        folder.log({**ROW, "time/total_timesteps": 1000.0, "intrinsic/nats": 0.5})
        folder.close()
        events = EventAccumulator(str(folder.path / "tensorboard"))
        events.Reload()
        found = [(event.step, event.value) for event in events.Scalars("intrinsic/nats")]
        assert found == [(500, 0.25), (1000, 0.5)]

    def test_closing_twice_and_logging_again_work(self, folder: RunFolder):
        folder.log(ROW)
        folder.close()
        folder.close()
        folder.log(ROW)
        assert len(folder.metrics()["intrinsic/nats"]) == 2
