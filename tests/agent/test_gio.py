import inspect
import random
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pyro
import pytest
import torch

from gio_pyro import GIO
from gio_pyro.errors import GioError, InputError, ProgramError, TrainingError, UnknownFutureWarning
from tests.agents import differences, untouched
from tests.environments import Corridor, make, register

QUICK: dict[str, Any] = {"train_freq": 50, "log_interval": 50, "gradient_steps": 3, "sweeps": 20}


def quick(env: Any = "FrozenLake-v1", **settings: Any) -> GIO:
    return GIO(env, **{**QUICK, **settings})


class TestConstruction:
    def test_takes_an_id_or_an_environment(self):
        assert not differences(quick("FrozenLake-v1").learn(100), quick(gymnasium.make("FrozenLake-v1")).learn(100))

    def test_takes_an_environment_without_a_spec(self):
        assert quick(make()).learn(50).steps == 50

    @pytest.mark.parametrize("env", [None, 3, "", dict, gymnasium.Env, [], b"FrozenLake-v1"], ids=repr)
    def test_refuses_what_is_no_environment(self, env: Any):
        with pytest.raises(InputError, match="Expected"):
            GIO(env)

    def test_refuses_actions_without_bounds(self):
        free = gymnasium.wrappers.TransformAction(
            gymnasium.make("Pendulum-v1"), lambda a: a, gymnasium.spaces.Box(-np.inf, np.inf, (1,))
        )
        with pytest.raises(InputError, match="bounded"):
            GIO(free)

    def test_refuses_an_unknown_setting_and_names_the_known(self):
        with pytest.raises(InputError, match="temperature"):
            GIO("FrozenLake-v1", temprature=0.1)

    @pytest.mark.parametrize(
        "setting",
        [
            {"temperature": 0}, {"temperature": float("nan")}, {"discount": 1.0}, {"learning_rate": 0.0},
            {"uniform_share": -0.1}, {"seed": -1}, {"train_freq": 0}, {"gradient_steps": -1}, {"batch_size": 0},
            {"buffer_size": 0}, {"samples": 0}, {"sweeps": 0}, {"objective": "nothing"}, {"temperature": "warm"},
            {"seed": None}, {"train_freq": 2.5}, {"seed": 2**70}, {"initial_value": float("nan")},
        ],
        ids=repr,
    )  # fmt: skip
    def test_refuses_a_setting_out_of_range(self, setting: dict[str, Any]):
        with pytest.raises(InputError, match="Expected"):
            GIO("FrozenLake-v1", **setting)

    @pytest.mark.parametrize("program", ["Nothing", "nowhere:Own", "absent.py:Own", 3], ids=repr)
    def test_refuses_what_is_no_program(self, program: Any):
        with pytest.raises(ProgramError, match="Expected"):
            GIO("FrozenLake-v1", model=program)

    def test_spec_says_what_the_programs_are_built_from(self):
        spec = quick(make(length=6, first=5)).spec
        assert (spec.state_space.n, spec.action_space.n, spec.future_space.n) == (6, 2, 6)

    def test_settings_are_kept(self):
        assert quick(temperature=0.3).settings.temperature == 0.3


class TestLearn:
    def test_returns_the_agent(self):
        agent = quick()
        assert agent.learn(10) is agent

    def test_takes_exactly_the_steps_asked_for(self):
        agent = quick().learn(120)
        assert agent.steps == len(agent.replay) == 120

    def test_no_steps_change_nothing(self):
        agent = quick().learn(60)
        before = differences(agent, quick().learn(60))
        agent.learn(0)
        assert before == differences(agent, quick().learn(60)) == []

    def test_refuses_negative_steps(self):
        with pytest.raises(InputError, match="at least 0"):
            quick().learn(-1)

    def test_two_calls_are_as_good_as_one(self):
        assert not differences(quick().learn(50).learn(100), quick().learn(150))

    def test_learns_the_way_down_a_corridor(self):
        agent = GIO(make(), train_freq=100).learn(1_000)
        assert list(agent.predict(np.arange(3), deterministic=True)[0]) == [1, 1, 1]

    def test_one_seed_gives_equal_tensors(self):
        assert not differences(quick(seed=3).learn(150), quick(seed=3).learn(150))

    def test_seeds_next_to_each_other_give_other_tensors(self):
        found = differences(quick(seed=3).learn(150), quick(seed=4).learn(150))
        places = {"/model/program.table", "/control/policy.log_pi", "/replay/rows/next_state", "/random/cpu"}
        assert places <= set(found)

    def test_two_agents_in_turn_are_as_each_alone(self):
        first, second = quick(seed=1), quick(seed=2, guide="HabitGuide")
        for _ in range(3):
            first.learn(50)
            second.learn(50)
        assert not differences(first, quick(seed=1).learn(50).learn(50).learn(50))
        assert not differences(second, quick(seed=2, guide="HabitGuide").learn(50).learn(50).learn(50))

    def test_the_users_seed_does_not_matter(self):
        torch.manual_seed(1)
        first = quick().learn(100)
        torch.manual_seed(2)
        np.random.seed(2)  # noqa: NPY002
        random.seed(2)
        assert not differences(first, quick().learn(100))

    def test_learns_where_the_user_turned_gradients_off(self):
        with torch.no_grad():
            agent = quick().learn(100)
        assert not differences(agent, quick().learn(100))

    def test_learns_in_inference_mode_as_outside_it(self, tmp_path: Path):
        with torch.inference_mode():
            agent = quick().learn(50)
            agent.predict(0)
            agent.save(tmp_path)
            loaded = GIO.load(tmp_path).learn(50)
        assert not differences(loaded, agent.learn(50), ignore=("/playing",))
        assert not differences(agent, quick().learn(100), ignore=("/playing",))

    def test_networks_learn_in_inference_mode_as_outside_it(self):
        small = {"learning_starts": 10, "batch_size": 8, "hidden": (4,), "log_interval": 10}
        with torch.inference_mode():
            agent = GIO("Pendulum-v1", **small).learn(20)
        assert not differences(agent.learn(10), GIO("Pendulum-v1", **small).learn(30))

    def test_learns_where_the_users_numbers_are_double(self):
        torch.set_default_dtype(torch.float64)
        try:
            assert quick().learn(100).steps == 100
        finally:
            torch.set_default_dtype(torch.float32)


class TestCallback:
    def test_sees_the_agent_and_finite_metrics_after_every_round(self):
        seen: list[tuple[int, float]] = []
        quick(make()).learn(
            120, callback=lambda agent, metrics: seen.append((agent.steps, metrics["time/total_timesteps"]))
        )
        assert seen == [(50, 50.0), (100, 100.0), (120, 120.0)]

    def test_false_stops(self):
        assert quick().learn(500, callback=lambda agent, metrics: agent.steps < 100).steps == 100

    def test_false_of_numpy_stops(self):
        assert quick().learn(500, callback=lambda agent, metrics: np.bool_(agent.steps < 100)).steps == 100

    @pytest.mark.parametrize("callback", [3, "print", [print, 3]], ids=repr)
    def test_what_cannot_be_called_is_refused_at_once(self, callback: Any):
        agent = quick()
        with pytest.raises(
            InputError, match=r"^Expected callback to be a function of the agent and its metrics, but got"
        ):
            agent.learn(50, callback=callback)
        assert agent.steps == 0

    def test_none_goes_on(self):
        assert quick().learn(100, callback=lambda agent, metrics: None).steps == 100

    def test_playing_and_looking_in_it_does_not_change_what_is_learned(self):
        def look(agent: GIO, metrics: dict[str, float]) -> None:
            agent.evaluate(1, max_steps=5)
            agent.predict(0)
            agent.intrinsic_reward(torch.arange(16))

        watched, alone = quick().learn(150, callback=look), quick().learn(150)
        found = differences(watched, alone, ignore=("/playing",))
        assert not [place for place in found if not place.startswith("/random")]

    def test_random_numbers_of_the_users_own_in_it_do_not_change_what_is_learned(self):
        drawn = quick().learn(150, callback=lambda agent, metrics: bool(torch.rand(()) >= 0))
        assert not differences(drawn, quick().learn(150))

    def test_an_error_in_it_leaves_an_agent_that_goes_on(self):
        def fail(agent: GIO, metrics: dict[str, float]) -> None:
            raise ZeroDivisionError

        agent = quick()
        with untouched(), pytest.raises(ZeroDivisionError):
            agent.learn(100, callback=fail)
        assert not differences(agent.learn(50), quick().learn(50).learn(50))


class TestTheUsersOwn:
    """Generators, stores and settings of the process are as they were, whatever the agent does."""

    def test_constructing_touches_nothing(self):
        with untouched():
            quick()

    @pytest.mark.parametrize("guide", ["CategoricalGuide", "BayesGuide", "CategoricalNetworkGuide"])
    def test_learning_touches_nothing(self, guide: str):
        agent = quick(guide=guide)
        with untouched():
            agent.learn(100)

    def test_predicting_and_playing_touch_nothing(self):
        agent = quick().learn(50)
        with untouched():
            agent.predict(0)
            agent.evaluate(2)
            agent.intrinsic_reward(torch.arange(4))

    def test_saving_and_loading_touch_nothing(self, tmp_path: Path):
        agent = quick().learn(50)
        with untouched():
            agent.save(tmp_path)
            GIO.load(tmp_path)

    def test_an_error_touches_nothing(self):
        agent = quick(make(reward=lambda step: float("nan")))
        with untouched(), pytest.raises(TrainingError):
            agent.learn(50)

    def test_what_is_in_pyros_store_stays_there_and_is_not_used(self):
        pyro.get_param_store().clear()
        try:
            pyro.param("table", torch.tensor(7.0))
            pyro.param("program.table", torch.tensor(8.0))
            agent = quick().learn(50)
            assert not differences(agent, quick().learn(50))
            assert pyro.param("table").item() == 7.0
            assert sorted(pyro.get_param_store().keys()) == ["program.table", "table"]
        finally:
            pyro.get_param_store().clear()

    def test_playing_does_not_change_what_is_learned(self):
        played = quick().learn(50)
        played.evaluate(2)
        played.predict(np.arange(16))
        assert not differences(played.learn(50), quick().learn(50).learn(50), ignore=("/playing",))

    def test_playing_does_not_step_the_users_environment(self):
        env = gymnasium.make("FrozenLake-v1")
        agent = quick(env).learn(50)
        before = (env.unwrapped.s, env.unwrapped.np_random.bit_generator.state)
        agent.evaluate(3)
        assert (env.unwrapped.s, env.unwrapped.np_random.bit_generator.state) == before


class TestPredict:
    def test_has_the_signature_of_stable_baselines(self):
        parameters = inspect.signature(GIO.predict).parameters
        assert list(parameters) == ["self", "observation", "state", "episode_start", "deterministic", "action_masks"]
        assert [p.default for p in parameters.values()][2:] == [None, None, False, None]

    def test_can_be_called_as_stable_baselines_calls_it(self):
        observation, start = np.array([0, 3]), np.ones(2, dtype=bool)
        action, state = quick().predict(observation, state=None, episode_start=start, deterministic=True)
        assert action.shape == (2,)
        assert state is None

    @pytest.mark.parametrize("observation", [0, np.int64(3), np.array(5), torch.tensor(2), 4.0], ids=repr)
    def test_one_observation_gives_one_integer_that_an_environment_takes(self, observation: Any):
        action, _ = quick().predict(observation)
        assert np.ndim(action) == 0
        assert np.issubdtype(np.asarray(action).dtype, np.integer)
        assert gymnasium.make("FrozenLake-v1").action_space.contains(action)

    @pytest.mark.parametrize("shape", [(1,), (7,), (0,)])
    def test_an_array_gives_an_array_of_its_shape(self, shape: tuple[int, ...]):
        action, _ = quick().predict(np.zeros(shape, dtype=np.int64))
        assert action.shape == shape
        assert np.issubdtype(action.dtype, np.integer)

    def test_deterministic_is_the_likeliest_action(self):
        agent = quick().learn(200)
        mode = agent.policy.log_pi.argmax(-1).numpy()
        for _ in range(2):
            np.testing.assert_array_equal(agent.predict(np.arange(16), deterministic=True)[0], mode)

    def test_drawn_actions_follow_the_policy(self):
        agent = quick()
        drawn, _ = agent.predict(np.zeros(4_000, dtype=int))
        np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4_000, 0.25, atol=0.035)

    @pytest.mark.parametrize(
        "observation", [-1, 16, 0.5, float("nan"), float("inf"), None, "cell", {}, [0, 99], 2**70], ids=repr
    )
    def test_refuses_an_observation_outside_the_space(self, observation: Any):
        with pytest.raises(InputError, match="between 0 and 15"):
            quick().predict(observation)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_an_observation_that_is_not_finite_is_the_callers(self, bad: float):
        with pytest.raises(InputError, match=r"^Expected a finite observation, but got one with NaN or infinity"):
            GIO("CartPole-v1", hidden=(4,)).predict([0.0, bad, 0.0, 0.0])

    def test_spaces_that_start_elsewhere_keep_their_numbers(self):
        agent = quick(make(first=5)).learn(200)
        assert set(agent.predict(np.arange(5, 9))[0]) <= {5, 6}
        assert agent.predict(5, deterministic=True)[0] == 6
        with pytest.raises(InputError, match="between 5 and 8"):
            agent.predict(4)

    def test_a_space_that_starts_below_zero_works(self):
        agent = quick(make(first=-3)).learn(200)
        assert agent.predict(-3, deterministic=True)[0] == -2


class TestEvaluate:
    def test_plays_as_many_episodes_as_asked(self):
        played = quick().evaluate(7)
        assert len(played.returns) == len(played.lengths) == 7
        assert played.mean == np.mean(played.returns)

    def test_counts_returns_and_lengths(self, monkeypatch: pytest.MonkeyPatch):
        played = GIO(register(monkeypatch), train_freq=100).learn(600).evaluate(3, deterministic=True)
        assert played.returns == (-3.0, -3.0, -3.0)
        assert played.lengths == (3, 3, 3)
        assert played.standard_error == 0

    def test_one_seed_gives_one_outcome_in_agents_that_are_equal(self):
        assert quick().evaluate(10, seed=4) == quick().evaluate(10, seed=4)

    def test_cuts_episodes_that_do_not_end(self, monkeypatch: pytest.MonkeyPatch):
        agent = GIO(register(monkeypatch, limit=None, endless=True))
        assert agent.evaluate(2, max_steps=9).lengths == (9, 9)

    @pytest.mark.parametrize("wrong", [{"episodes": 0}, {"seed": -1}, {"seed": 2.5}, {"max_steps": 0}], ids=repr)
    def test_refuses_numbers_out_of_range(self, wrong: dict[str, Any]):
        with pytest.raises(InputError, match="Expected"):
            quick().evaluate(**wrong)

    def test_plays_a_copy_of_an_environment_that_cannot_be_made_again(self):
        env = make()
        agent = quick(env).learn(60)
        before = env.unwrapped.__dict__.copy()
        assert len(agent.evaluate(2).returns) == 2
        assert env.unwrapped.__dict__ == before

    def test_plays_the_environment_with_its_wrappers(self):
        env = gymnasium.wrappers.TransformReward(gymnasium.make("FrozenLake-v1"), lambda reward: reward + 1)
        played = quick(env).evaluate(3)
        assert all(paid >= length for paid, length in zip(played.returns, played.lengths, strict=True))


class TestWrongEnvironment:
    @pytest.mark.parametrize("paid", [float("nan"), float("inf"), -float("inf")], ids=str)
    def test_a_reward_that_is_not_finite_stops_training(self, paid: float):
        agent = quick(make(reward=lambda step: paid if step == 70 else 0.0))
        with pytest.raises(TrainingError, match="finite reward"):
            agent.learn(200)
        assert agent.steps == len(agent.replay) == 50

    def test_a_future_that_every_episode_cuts_off_is_told(self):
        """Episodes of 5 steps never say what follows in 9."""
        agent = quick(make(limit=5, length=50), future="StateAfter(9)")
        with pytest.warns(
            UnknownFutureWarning, match=r"^Replay holds 100 steps, but none that knows what follows in 9: "
        ):
            agent.learn(150)
        agent.learn(150)  # told once
        quick(make(limit=20, length=50), future="StateAfter(9)").learn(150)

    def test_an_observation_too_large_to_be_squared_stops_training(self):
        class Huge(gymnasium.ObservationWrapper):
            def observation(self, observation: Any) -> Any:
                return observation * np.float32(1e30)

        with pytest.raises(TrainingError, match=r"^Expected an observation below 1e\+18 in size, but the env"):
            GIO(Huge(gymnasium.make("CartPole-v1")), hidden=(8,)).learn(10)

    def test_a_guide_that_turns_to_nan_is_named_with_the_next_report(self):
        agent = GIO("CartPole-v1", hidden=(8,), learning_starts=1_000, log_interval=20, gradient_steps=0).learn(10)
        for parameter in agent.guide.parameters():
            parameter.data.fill_(torch.nan)
        with pytest.raises(TrainingError, match=r"^Expected finite log-probabilities from CategoricalNetworkGuide"):
            agent.metrics()

    def test_a_reward_too_large_for_single_precision_stops_training(self):
        with pytest.raises(TrainingError):
            quick(make(reward=lambda step: 1e300), guide="UniformGuide").learn(200)

    @pytest.mark.parametrize("paid", [None, "much", [1.0, 2.0]], ids=repr)
    def test_a_reward_that_is_no_number_is_one_of_our_errors(self, paid: Any):
        with pytest.raises(GioError):
            quick(make(reward=lambda step: paid)).learn(50)

    @pytest.mark.parametrize("seen", [99, -1, float("nan"), None, 0.5], ids=repr)
    def test_an_observation_outside_the_space_is_one_of_our_errors(self, seen: Any):
        with pytest.raises(GioError, match="observation"):
            quick(make(observe=lambda cell: seen if cell else 0)).learn(100)

    def test_an_image_with_rows_of_different_shapes_is_one_sentence(self):
        env = Corridor(observe=lambda cell: [[1], [1, 2]])
        env.observation_space = gymnasium.spaces.Box(0, 255, (4, 4, 3), dtype=np.uint8)
        with pytest.raises(InputError, match=r"^Expected observations of shape \(4, 4, 3\), but got rows of different"):
            GIO(env, hidden=(4,)).learn(50)

    def test_an_environment_that_raises_in_step_is_named_and_its_error_kept(self):
        def fail(step: int) -> float:
            if step == 60:
                raise OSError("the motor is off")
            return 0.0

        agent = quick(make(reward=fail))
        with untouched(), pytest.raises(TrainingError, match="the motor is off") as caught:
            agent.learn(100)
        assert isinstance(caught.value.__cause__, OSError)
        assert agent.steps == 50

    def test_an_interrupt_in_step_is_not_swallowed_and_learning_goes_on_after_it(self):
        def interrupt(step: int) -> float:
            if step == 60:
                raise KeyboardInterrupt
            return 0.0

        agent = quick(make(reward=interrupt))
        with untouched(), pytest.raises(KeyboardInterrupt):
            agent.learn(100)
        assert agent.learn(100).steps == 150

    def test_an_environment_of_one_state_and_one_action_works(self):
        class Still(Corridor):
            def __init__(self) -> None:
                super().__init__(length=1, endless=True)
                self.action_space = gymnasium.spaces.Discrete(1)

        agent = quick(Still()).learn(100)
        assert agent.predict(0)[0] == 0
        assert agent.intrinsic_reward(torch.tensor([0])).item() == pytest.approx(0, abs=1e-6)
