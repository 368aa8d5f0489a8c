"""Environments from flags: arguments, several copies, wrappers, and the same environment for a run that goes on.

Cost: under a second.
"""

import importlib.util
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.vector import SyncVectorEnv

from gio_pyro.checkpointing import specs
from gio_pyro.cli import environment_arguments, environment_flags
from gio_pyro.collection import copy_environment, copy_for_rendering
from gio_pyro.errors import CheckpointError, InputError

TRANSPOSE = "gymnasium.wrappers:FlattenObservation"
HOME = "gymnasium.wrappers.transform_observation:FlattenObservation"


class TestExpandFlags:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (["train", "--env.g=9"], ["train", "--env-arg", "g=9"]),
            (["--env.is_slippery", "false", "x"], ["--env-arg", "is_slippery=false", "x"]),
            (["--env.is-slippery=false"], ["--env-arg", "is_slippery=false"]),
            (["--env.desc=a=b"], ["--env-arg", "desc=a=b"]),
            (["--env.g"], ["--env-arg", "g"]),
            (["--env.g", "--steps", "3"], ["--env-arg", "g", "--steps", "3"]),
            (["--env.g", "-3"], ["--env-arg", "g=-3"]),
            (["--env.", "x"], ["--env-arg", "", "x"]),
            (["--env", "Own-v0", "--envs", "2"], ["--env", "Own-v0", "--envs", "2"]),
            ([], []),
        ],
    )
    def test_arguments_of_environments_become_one_flag(self, given: list[str], expected: list[str]):
        assert environment_arguments.expand_flags(given) == expected


class TestParseArguments:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("false", False), ("False", False), ("true", True), ("None", None), ("null", None), ("9.81", 9.81),
            ("3", 3), ("8x8", "8x8"), ('["SF","FG"]', ["SF", "FG"]), ('"4"', "4"), ("[1,", "[1,"), ('""', ""),
            ("a=b", "a=b"),
        ],
    )  # fmt: skip
    def test_values_are_json_or_text(self, text: str, value: Any):
        found = environment_arguments.parse_arguments([f"name={text}"])
        assert found == {"name": value}
        assert type(found["name"]) is type(value)

    def test_the_last_of_a_name_counts(self):
        assert environment_arguments.parse_arguments(["g=1", "m=2", "g=3"]) == {"g": 3, "m": 2}

    @pytest.mark.parametrize("text", ["=3", "g=", "g", "", "3=4", "a b=1"])
    def test_others_are_one_sentence(self, text: str):
        with pytest.raises(InputError, match=r"Expected --env\.NAME=VALUE"):
            environment_arguments.parse_arguments([text])


class TestMakeEnvironment:
    def test_arguments_reach_the_environment(self):
        assert environment_flags.make_environment("Pendulum-v1", {"g": 5.0}).unwrapped.g == 5.0

    def test_several_are_stepped_together_with_their_arguments(self):
        vector = environment_flags.make_environment(
            "Pendulum-v1", {"g": 5.0}, vector=environment_flags.vector_arguments(3)
        )
        assert isinstance(vector, SyncVectorEnv)
        assert [env.unwrapped.g for env in vector.envs] == [5.0] * 3

    def test_one_is_no_vector_and_none_are_refused(self):
        assert environment_flags.vector_arguments(1) is None
        with pytest.raises(InputError, match="at least 1"):
            environment_flags.vector_arguments(0)

    def test_wrappers_are_put_around_from_the_inside(self):
        env = environment_flags.make_environment(
            "Pendulum-v1", {}, ["gymnasium.wrappers:RecordEpisodeStatistics", TRANSPOSE]
        )
        assert isinstance(env, gym.wrappers.FlattenObservation)
        assert isinstance(env.env, gym.wrappers.RecordEpisodeStatistics)

    @pytest.mark.parametrize("count", [1, 2])
    def test_what_is_wrapped_can_be_made_again_by_gymnasium(self, count: int):
        env = environment_flags.make_environment(
            "Pendulum-v1", {"g": 5.0}, [TRANSPOSE], environment_flags.vector_arguments(count)
        )
        copy = copy_for_rendering(env, "rgb_array")
        assert isinstance(copy, gym.wrappers.FlattenObservation)
        assert (copy.unwrapped.g, copy.render_mode) == (5.0, "rgb_array")

    def test_a_wrapper_that_records_nothing_can_be_made_again(self):
        pytest.importorskip("minigrid")
        env = environment_flags.make_environment(
            "minigrid:MiniGrid-Empty-8x8-v0", {}, ["minigrid.wrappers:ImgObsWrapper"]
        )
        assert copy_environment(env).observation_space == env.observation_space


class TestRemakeEnvironment:
    def test_nothing_named_is_nothing_made(self):
        assert environment_flags.remake_environment({"id": "Pendulum-v1", "kwargs": {}}, None, ()) is None
        assert environment_flags.remake_environment(None, None, ()) is None

    @pytest.mark.parametrize("name", ["CartPole-v1", "gymnasium:CartPole-v1"])
    def test_the_run_s_own_arguments_and_number_are_kept(self, name: str):
        record = specs.environment_record(
            environment_flags.make_environment(
                "CartPole-v1", {"max_episode_steps": 9}, (), environment_flags.vector_arguments(2)
            )
        )
        made = environment_flags.remake_environment(record, name, ())
        assert made is not None
        assert specs.environment_record(made) == record

    @pytest.mark.parametrize("name", ["CartPole-v1", "Nowhere-v0", "gymnasium:CartPole-v1"])
    def test_another_environment_is_refused(self, name: str):
        record = {"id": "Pendulum-v1", "kwargs": {"g": 5.0}}
        with pytest.raises(InputError, match=f"Expected Pendulum-v1, which the run is of, but got {name}; leave"):
            environment_flags.remake_environment(record, name, ())

    @pytest.mark.parametrize("count", [1, 2])
    def test_wrappers_are_recorded_asked_for_and_compared(self, count: int):
        env = environment_flags.make_environment(
            "Pendulum-v1", {}, [TRANSPOSE], environment_flags.vector_arguments(count)
        )
        record = specs.environment_record(env)
        assert record is not None
        assert record["wrappers"] == [HOME]
        with pytest.raises(CheckpointError, match=f"wrapped in {HOME}.*--wrapper"):
            specs.environment_from(record)
        made = environment_flags.remake_environment(record, None, [TRANSPOSE])
        assert made is not None
        assert specs.environment_record(made) == record
        for others in ([], ["gymnasium.wrappers:RecordEpisodeStatistics"], [TRANSPOSE, TRANSPOSE]):
            with pytest.raises(InputError, match="the run's own wrappers"):
                environment_flags.remake_environment(record, "Pendulum-v1", others)

    def test_a_record_that_is_none_takes_what_is_named(self):
        made = environment_flags.remake_environment(None, "CartPole-v1", ())
        assert made is not None
        assert made.spec.id == "CartPole-v1"


def test_the_module_form_imports_the_module():
    if importlib.util.find_spec("minigrid") is None:
        pytest.skip("needs minigrid")
    assert environment_flags.make_environment("minigrid:MiniGrid-Empty-5x5-v0", {}).spec.id == "MiniGrid-Empty-5x5-v0"
