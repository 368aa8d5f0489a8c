import contextlib
import copy
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium import wrappers
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gio_pyro import GIO, guides, models
from gio_pyro.checkpointing import agent_state, file_format
from gio_pyro.errors import CheckpointError, GioWarning, InputError, TrainingError
from gio_pyro.futures import NextState as LibrarysNextState
from gio_pyro.utils import files
from tests.agents import differences, leaves
from tests.environments import make, register
from tests.slow import slow_but
from tests.spaces import GUIDES, MODELS

QUICK: dict[str, Any] = {"train_freq": 50, "gradient_steps": 3, "sweeps": 20, "log_interval": 50}
SMALL: dict[str, Any] = {"learning_starts": 40, "batch_size": 16, "hidden": (8, 8), "log_interval": 30}


def quick(env: Any = "FrozenLake-v1", **settings: Any) -> GIO:
    return GIO(env, **{**QUICK, **settings})


def reloaded(agent: GIO, path: Path, **passed: Any) -> GIO:
    agent.save(path)
    return GIO.load(path, **passed)


def own_model(policy: Any, state: torch.Tensor, future: torch.Tensor | None = None) -> torch.Tensor:
    table = pyro.param("own.table", lambda: torch.zeros(16, 4, 16))
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", dist.Categorical(logits=table[state, action]), obs=future)


class OwnGuide(guides.CategoricalGuide):
    pass


class CategoricalModel(models.CategoricalModel):
    """Named as a model of the library, but another."""


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GioWarning)
        yield


def counted() -> Any:
    """Pays for steps since it was made, whichever episode they are in: what was paid is not paid again."""
    return make(endless=True, reward=float)


def vector(mode: AutoresetMode) -> Any:
    return gymnasium.make_vec(
        "CartPole-v1", 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, max_episode_steps=9
    )


NETWORK_WORLDS: dict[str, Callable[[], Any]] = {
    "Pendulum": partial(gymnasium.make, "Pendulum-v1"),
    "CartPole": partial(gymnasium.make, "CartPole-v1"),
    "tuples": partial(gymnasium.make, "Blackjack-v1"),
    **{f"3 CartPoles, {mode.value}": partial(vector, mode) for mode in AutoresetMode},
}


class TestRoundTrip:
    @pytest.mark.parametrize("guide", GUIDES["finite"])
    @pytest.mark.parametrize("model", MODELS["finite"])
    def test_everything_is_equal(self, tmp_path: Path, model: str, guide: str):
        agent = quick(model=model, guide=guide, temperature=0.07, seed=3).learn(120)
        assert not differences(agent, reloaded(agent, tmp_path))

    @pytest.mark.parametrize(
        "programs",
        slow_but(
            [{"model": name} for name in MODELS["vector, continuous"]]
            + [{"guide": name} for name in GUIDES["vector, continuous"]],
            {"model": "BayesianModel"},
            {"model": "LatentChannelModel"},
            {"guide": "FlowGuide"},
        ),
        ids=lambda programs: next(iter(programs.values())),
    )
    @pytest.mark.filterwarnings("ignore:The intrinsic reward varies")  # after twenty steps it may
    def test_programs_of_real_futures_learn_on_exactly(self, tmp_path: Path, programs: dict[str, str]):
        small = {"hidden": (8,), "learning_starts": 10, "batch_size": 8, "seed": 1}
        agent = GIO("Pendulum-v1", **programs, **small).learn(20)
        loaded = reloaded(agent, tmp_path)
        assert not differences(agent, loaded)
        assert not differences(agent.learn(10), loaded.learn(10))

    def test_an_agent_that_did_not_learn_is_equal(self, tmp_path: Path):
        agent = quick()
        assert not differences(agent, reloaded(agent, tmp_path))

    def test_settings_counts_and_replay_order_are_equal(self, tmp_path: Path):
        agent = quick(make(), buffer_size=70, batch_size=16).learn(120)
        loaded = reloaded(agent, tmp_path, environment=make())
        assert loaded.settings == agent.settings
        assert loaded.steps == 120
        assert loaded.collector.episodes == agent.collector.episodes
        assert not differences(loaded.replay.state_dict(), agent.replay.state_dict())

    def test_predictions_go_on_with_the_same_draws(self, tmp_path: Path):
        agent = quick().learn(50)
        loaded = reloaded(agent, tmp_path)
        assert [agent.predict(0)[0] for _ in range(20)] == [loaded.predict(0)[0] for _ in range(20)]

    def test_the_environments_arguments_are_kept(self, tmp_path: Path):
        agent = quick(gymnasium.make("FrozenLake-v1", map_name="8x8", is_slippery=False)).learn(50)
        loaded = reloaded(agent, tmp_path)
        assert loaded.env.spec.kwargs == agent.env.spec.kwargs
        assert loaded.spec.state_space.n == 64

    def test_a_step_limit_of_ones_own_is_kept(self, tmp_path: Path):
        loaded = reloaded(quick(gymnasium.make("FrozenLake-v1", max_episode_steps=7)).learn(50), tmp_path)
        assert loaded.env.spec.max_episode_steps == 7

    def test_a_wrapper_is_asked_for(self, tmp_path: Path):
        def env() -> Any:
            return gymnasium.wrappers.TransformReward(gymnasium.make("FrozenLake-v1"), lambda reward: reward - 5)

        quick(env()).learn(50).save(tmp_path)
        with pytest.raises(CheckpointError, match=r"wrapped in .*TransformReward; name it again \(environment="):
            GIO.load(tmp_path)
        loaded = GIO.load(tmp_path, environment=env()).learn(50)
        assert float(loaded.replay.all().reward.max()) < 0

    def test_an_episode_that_was_running_goes_on(self, tmp_path: Path):
        agent = quick(make(limit=1000, endless=True)).learn(50)
        last = agent.replay.all().next_state[-1]
        assert last != 0
        loaded = reloaded(agent, tmp_path, environment=make(limit=1000, endless=True)).learn(1)
        assert loaded.replay.all().state[-1] == last

    def test_an_episode_that_cannot_be_played_again_is_dropped_and_said_so_once(self, tmp_path: Path):
        quick(counted()).learn(50).save(tmp_path)  # in the third episode of 20 steps
        with pytest.warns(GioWarning, match="running episode.*a new episode begins") as told:
            loaded = GIO.load(tmp_path, environment=counted())
        assert len(told) == 1
        assert loaded.learn(1).replay.all().state[-1] == 0
        assert loaded.replay.sequences(200, 2).valid[:, 1].sum() > 0

    @pytest.mark.parametrize("make_env", NETWORK_WORLDS.values(), ids=NETWORK_WORLDS.keys())
    def test_worlds_of_networks_are_equal(self, tmp_path: Path, make_env: Callable[[], Any]):
        agent = GIO(make_env(), **SMALL).learn(60)
        loaded = reloaded(agent, tmp_path)
        assert not differences(agent, loaded)
        assert loaded.settings == agent.settings
        assert type(loaded.settings.hidden) is tuple

    @pytest.mark.parametrize("temperature", ["auto", "linear:0.3:0.1:50", 0.25])
    def test_temperatures_of_every_kind_are_equal(self, tmp_path: Path, temperature: float | str):
        agent = GIO("CartPole-v1", temperature=temperature, **SMALL).learn(60)
        loaded = reloaded(agent, tmp_path)
        assert loaded.settings.temperature == temperature
        assert loaded.temperature.at(60) == agent.temperature.at(60)

    def test_a_loss_that_was_not_finite_is_not_forgotten(self, tmp_path: Path):
        agent = quick().learn(50)
        agent.sound.fill_(False)
        with pytest.raises(TrainingError, match="finite losses"):
            reloaded(agent, tmp_path).learn(50)

    def test_a_vector_is_made_again_as_it_was(self, tmp_path: Path):
        how = {"autoreset_mode": AutoresetMode.SAME_STEP}
        env = gymnasium.make_vec("Pendulum-v1", 2, vectorization_mode="sync", vector_kwargs=how, g=9.0)
        loaded = reloaded(GIO(env, **SMALL).learn(20), tmp_path)
        assert loaded.env.num_envs == 2
        assert loaded.env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
        assert [inner.unwrapped.g for inner in loaded.env.envs] == [9.0, 9.0]

    def test_a_vector_whose_environments_are_out_of_reach_says_so_and_begins_new_episodes(self, tmp_path: Path):
        GIO(gymnasium.make_vec("CartPole-v1", 2), **SMALL).learn(20).save(tmp_path)
        with pytest.warns(GioWarning, match="running episode") as told:
            loaded = GIO.load(tmp_path)
        assert len(told) == 1
        assert loaded.learn(20).steps >= 40

    def test_a_vector_of_ones_own_is_passed_again(self, tmp_path: Path):
        def env() -> Any:
            return SyncVectorEnv([lambda: gymnasium.make("Pendulum-v1")] * 2)

        agent = GIO(env(), **SMALL).learn(20)
        agent.save(tmp_path)
        with pytest.raises(CheckpointError, match="environment="):
            GIO.load(tmp_path)
        assert not differences(agent, GIO.load(tmp_path, environment=env()))

    def test_what_an_environment_is_wrapped_in_is_named(self, tmp_path: Path):
        GIO(gymnasium.wrappers.RescaleAction(gymnasium.make("Pendulum-v1"), -1, 1), **SMALL).save(tmp_path)
        with pytest.raises(CheckpointError, match=r"wrapped in gymnasium.*RescaleAction.*--wrapper"):
            GIO.load(tmp_path)


EXPLORING = {"explorer": "Goals(horizon=4)", "signal": "RandomNetworkDistillation"}


def several(count: int, **kwargs: Any) -> Any:
    return gymnasium.make_vec("CartPole-v1", count, vectorization_mode="sync", **kwargs)


class TestAnotherNumber:
    @pytest.mark.parametrize("settings", [{}, EXPLORING], ids=["alone", "explorer"])
    @pytest.mark.parametrize(("before", "after"), [(4, 1), (1, 4), (4, 3)])
    def test_episodes_begin_anew_and_all_else_goes_on(
        self, tmp_path: Path, before: int, after: int, settings: dict[str, Any]
    ):
        agent = GIO(several(before), **SMALL, **settings).learn(60)
        agent.save(tmp_path)
        words = rf"Expected {before} environment.* as in training, but got {after} .*; a new episode begins in each"
        with pytest.warns(GioWarning, match=words) as told:
            loaded = GIO.load(tmp_path, environment=several(after))
        assert len(told) == 1
        assert not differences(agent.model.state_dict(), loaded.model.state_dict())
        assert list(loaded.collector.returns) == list(agent.collector.returns)
        if settings:
            for name in ("taken", "explored"):
                assert getattr(loaded.explorer, name).sum() == getattr(agent.explorer, name).sum()
        first = loaded.learn(after).replay.latest(after)
        assert set(first.episode.tolist()).isdisjoint(agent.replay.all().episode.tolist())
        assert first.stream.tolist() == list(range(after))
        loaded.learn(60)
        again = reloaded(loaded, tmp_path, environment=several(after))
        assert not differences(loaded.learn(20), again.learn(20))

    def test_an_agent_that_did_not_learn_may_have_another_number_too(self, tmp_path: Path):
        GIO(several(2), **SMALL).save(tmp_path)
        with pytest.warns(GioWarning, match="but got 1 environment; a new"):
            assert GIO.load(tmp_path, environment=several(1)).learn(20).steps == 20

    @pytest.mark.parametrize("words", [4, "many environments", "0 environments", None])
    def test_a_number_that_is_none_is_refused(self, tmp_path: Path, words: Any):
        GIO(several(2), **SMALL).save(tmp_path)
        state = file_format.read(tmp_path)
        state["trained_with"]["environments"] = words
        file_format.write(tmp_path, state)
        with pytest.raises(CheckpointError):
            GIO.load(tmp_path)


class TestWorld:
    """The world that is loaded is the world that was learned in, or somebody is asked for it."""

    def test_what_is_around_a_vector_is_asked_for(self, tmp_path: Path):
        def env() -> Any:
            return wrappers.vector.TransformObservation(several(2), lambda seen: 100 * seen)

        agent = GIO(env(), **SMALL).learn(40)
        agent.save(tmp_path)
        with pytest.raises(CheckpointError, match=r"vector of 'CartPole-v1' wrapped in .*:TransformObs.*environment="):
            GIO.load(tmp_path)
        assert not differences(agent, GIO.load(tmp_path, environment=env()))

    @pytest.mark.parametrize("change", ["gravity", "step"])
    @pytest.mark.parametrize("count", [None, 2])
    def test_what_was_changed_by_hand_is_asked_for(self, tmp_path: Path, change: str, count: int | None):
        def env() -> Any:
            made = gymnasium.make("CartPole-v1") if count is None else several(count)
            inner = (made if count is None else made.envs[-1]).unwrapped
            old = getattr(inner, change)
            setattr(inner, change, 3.0 if change == "gravity" else lambda action: old(action))
            return made

        agent = GIO(env(), **SMALL).learn(40)
        agent.save(tmp_path)
        with pytest.raises(CheckpointError, match=rf"CartPoleEnv\.{change} had been changed by hand"), quietly():
            GIO.load(tmp_path)
        assert not differences(agent, GIO.load(tmp_path, environment=env()))

    def test_what_was_changed_while_it_learned_is_told(self, tmp_path: Path):
        agent = GIO("CartPole-v1", **SMALL).learn(20)
        agent.env.unwrapped.length = 3.0
        agent.learn(20).save(tmp_path)
        with pytest.warns(GioWarning, match=r"led elsewhere|CartPoleEnv\.length changed while it was; pass it") as told:
            GIO.load(tmp_path)
        assert len(told) == 2

    @pytest.mark.parametrize("learn", [0, 40])
    def test_what_the_caller_played_before_is_no_change(self, tmp_path: Path, learn: int):
        env = gymnasium.make("CartPole-v1")
        env.reset(seed=1)
        while not env.step(0)[2]:
            pass
        GIO(env, **SMALL).learn(learn).save(tmp_path)
        assert GIO.load(tmp_path).steps == learn


class TestGoingOn:
    @pytest.mark.parametrize("guide", ["CategoricalGuide", "CategoricalNetworkGuide", "BayesGuide"])
    def test_two_loads_learn_the_same(self, tmp_path: Path, guide: str):
        quick(guide=guide).learn(120).save(tmp_path)
        assert not differences(GIO.load(tmp_path).learn(110), GIO.load(tmp_path).learn(110))

    def test_saving_changes_nothing(self, tmp_path: Path):
        agent = quick().learn(60)
        agent.save(tmp_path)
        assert not differences(agent.learn(60), quick().learn(60).learn(60))

    def test_it_is_exact_where_an_episode_had_just_ended(self, tmp_path: Path):
        """With one step an episode, nothing is dropped by loading, so it must be as if nothing had happened."""
        agent = quick(gymnasium.make("FrozenLake-v1", max_episode_steps=1)).learn(100)
        agent.save(tmp_path)
        loaded = GIO.load(tmp_path, environment=gymnasium.make("FrozenLake-v1", max_episode_steps=1))
        assert not differences(agent.learn(150), loaded.learn(150))

    def test_a_sampled_batch_and_a_full_ring_go_on_the_same(self, tmp_path: Path):
        def world() -> Any:
            return gymnasium.make("FrozenLake-v1", max_episode_steps=1)

        agent = quick(world(), buffer_size=70, batch_size=8).learn(100)
        loaded = reloaded(agent, tmp_path, environment=world())
        assert not differences(agent.learn(100), loaded.learn(100))

    def test_a_fresh_agent_that_was_saved_learns_as_one_that_was_not(self, tmp_path: Path):
        assert not differences(reloaded(quick(seed=5), tmp_path).learn(100), quick(seed=5).learn(100))

    def test_a_checkpoint_of_a_callback_is_the_one_written_after_learning(self, tmp_path: Path):
        quick().learn(100).save(tmp_path / "after")
        quick().learn(200, callback=lambda agent, metrics: agent.steps > 100 or agent.save(tmp_path / "during"))
        assert not differences(file_format.read(tmp_path / "during"), file_format.read(tmp_path / "after"))

    def test_replay_is_copied_so_a_saved_state_does_not_move(self):
        agent = quick().learn(50)
        before = agent_state.state_of(agent)
        kept = copy.deepcopy(before["replay"])
        agent.learn(50)
        assert not differences(kept, before["replay"])


class TestFile:
    def test_it_loads_as_weights_only_and_holds_plain_types(self, tmp_path: Path):
        quick().learn(60).save(tmp_path)
        state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
        plain = (int, float, str, bool, type(None), torch.Tensor)
        assert all(type(leaf) in plain for leaf in leaves(state).values())

    def test_it_holds_no_view_of_larger_storage(self, tmp_path: Path):
        quick(make(), buffer_size=1_000_000).learn(50).save(tmp_path)
        assert (tmp_path / "checkpoint.pt").stat().st_size < 100_000

    def test_it_is_the_only_file_and_replaces_the_last(self, tmp_path: Path):
        agent = quick()
        agent.save(tmp_path / "new" / "deeper")
        agent.learn(50).save(tmp_path / "new" / "deeper")
        assert [path.name for path in (tmp_path / "new" / "deeper").iterdir()] == ["checkpoint.pt"]
        assert GIO.load(tmp_path / "new" / "deeper").steps == 50

    def test_the_file_itself_may_be_named(self, tmp_path: Path):
        quick().save(tmp_path)
        assert GIO.load(str(tmp_path / "checkpoint.pt")).steps == 0

    @pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("disk full"), KeyboardInterrupt()], ids=repr)
    @pytest.mark.parametrize("where", ["os.replace", "torch.save", "os.fsync"])
    def test_a_failed_write_keeps_the_old_file_and_leaves_no_part(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, where: str
    ):
        agent = quick()
        agent.save(tmp_path)
        kept = (tmp_path / "checkpoint.pt").read_bytes()

        def fail(*_: object, **__: object) -> None:
            raise error

        module, name = where.split(".")
        monkeypatch.setattr({"os": os, "torch": torch}[module], name, fail)
        with pytest.raises((InputError, KeyboardInterrupt)):
            agent.learn(50).save(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
        assert (tmp_path / "checkpoint.pt").read_bytes() == kept

    def test_a_write_that_stops_halfway_keeps_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        agent = quick()
        agent.save(tmp_path)

        def half(state: Any, file: Any) -> None:
            file.write(b"half a checkpoint")
            raise OSError("disk full")

        monkeypatch.setattr(torch, "save", half)
        with pytest.raises(InputError, match="disk full"):
            agent.learn(50).save(tmp_path)
        assert GIO.load(tmp_path).steps == 0

    @pytest.mark.parametrize("folder", ["file", "file/below", "x" * 300])
    def test_a_folder_that_cannot_be_written_is_an_input_error(self, tmp_path: Path, folder: str):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(InputError, match="Expected a folder"):
            quick().save(tmp_path / folder)

    @pytest.mark.parametrize("path", [None, 5, b"here", "a\0b"], ids=repr)
    def test_what_is_no_path_is_refused(self, path: Any):
        for use in (quick().save, GIO.load):
            with pytest.raises(InputError, match=r"^Expected the path of a folder, but got .*; give text or a pathlib"):
                use(path)

    @pytest.mark.skipif(os.name == "nt", reason="the rights are those of POSIX")
    @pytest.mark.parametrize("mask", [0o022, 0o027])
    def test_it_has_the_rights_that_the_user_gives_to_any_file(self, tmp_path: Path, mask: int):
        before = os.umask(mask)
        try:
            quick().save(tmp_path)
        finally:
            os.umask(before)
        assert (tmp_path / "checkpoint.pt").stat().st_mode & 0o777 == 0o666 & ~mask

    @pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
    def test_the_folder_reaches_the_disk_as_well_as_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        written: list[bool] = []
        monkeypatch.setattr(os, "fsync", lambda handle: written.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
        quick().save(tmp_path)
        assert written == [False, True]

    def test_a_folder_that_cannot_be_brought_to_the_disk_is_no_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def opened(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "open", opened)
        files._sync_folder(tmp_path)

    def test_actions_in_double_precision_are_loaded(self, tmp_path: Path):
        torch.set_default_dtype(torch.float64)
        try:
            agent = GIO("Pendulum-v1", **SMALL).learn(20)
            loaded = reloaded(agent, tmp_path)
            assert loaded.replay.all().action.dtype == torch.float64
            assert not differences(loaded.learn(10), agent.learn(10))
        finally:
            torch.set_default_dtype(torch.float32)
        with pytest.raises(CheckpointError, match=r"but got torch.float64; set that default first"):
            GIO.load(tmp_path)


class NextState(LibrarysNextState):
    """Named as the future of the library, but another."""


class TestOwnPrograms:
    def test_a_future_with_the_name_of_ours_is_not_taken_for_ours(self, tmp_path: Path):
        quick(future=NextState()).save(tmp_path)
        with pytest.raises(CheckpointError, match=r":NextState'; pass it again \(future= in Python"):
            GIO.load(tmp_path)
        assert type(GIO.load(tmp_path, future=NextState()).future) is NextState

    def test_an_instance_of_ours_is_passed_again_since_it_may_be_configured(self, tmp_path: Path):
        model = models.CategoricalModel(quick().spec)
        agent = quick(model=model).learn(50)
        agent.save(tmp_path)
        with pytest.raises(
            CheckpointError, match=r"an instance of gio_pyro.*:CategoricalModel; pass one like .*model="
        ):
            GIO.load(tmp_path)
        assert not differences(agent, GIO.load(tmp_path, model=model))

    def test_a_callable_must_be_passed_again(self, tmp_path: Path):
        quick(model=own_model).learn(50).save(tmp_path)
        with pytest.raises(CheckpointError, match="model="):
            GIO.load(tmp_path)

    def test_a_class_must_be_passed_again(self, tmp_path: Path):
        quick(guide=OwnGuide).learn(50).save(tmp_path)
        with pytest.raises(CheckpointError, match="guide="):
            GIO.load(tmp_path)

    def test_a_class_with_the_name_of_ours_is_not_taken_for_ours(self, tmp_path: Path):
        quick(model=CategoricalModel).save(tmp_path)
        with pytest.raises(CheckpointError, match="model="):
            GIO.load(tmp_path)

    def test_passed_again_everything_is_equal(self, tmp_path: Path):
        agent = quick(model=own_model, guide=OwnGuide).learn(120)
        loaded = reloaded(agent, tmp_path, model=own_model, guide=OwnGuide)
        assert not differences(agent, loaded)
        assert not differences(loaded.learn(60), GIO.load(tmp_path, model=own_model, guide=OwnGuide).learn(60))

    @pytest.mark.parametrize("given", [guides.BayesGuide, "gio_pyro.guides:BayesGuide", "BayesGuide"], ids=str)
    def test_a_program_of_the_library_is_known_however_it_was_given(self, tmp_path: Path, given: Any):
        quick(guide=given).save(tmp_path)
        assert GIO.load(tmp_path).guide.name == "BayesGuide"

    def test_a_program_of_another_shape_is_refused(self, tmp_path: Path):
        quick().learn(50).save(tmp_path)
        with pytest.raises(
            CheckpointError,
            match=r"^Expected the guide CategoricalGuide as in training, but got the guide HabitGuide; pass the",
        ):
            GIO.load(tmp_path, guide="HabitGuide")

    def test_another_program_without_parameters_is_refused(self, tmp_path: Path):
        quick(guide="BayesGuide").save(tmp_path)
        with pytest.raises(
            CheckpointError, match=r"^Expected the guide BayesGuide as in training, but got the guide Unif"
        ):
            GIO.load(tmp_path, guide="UniformGuide")

    def test_a_program_of_one_name_and_another_shape_is_told_with_its_shape(self, tmp_path: Path):
        class OwnGuide(guides.CategoricalNetworkGuide):
            pass

        quick(guide=OwnGuide).save(tmp_path)
        with pytest.raises(
            CheckpointError, match=r"Error\(s\) in loading state_dict for Guide: .+; pass the program and"
        ):
            GIO.load(tmp_path, guide=globals()["OwnGuide"])

    def test_an_environment_of_another_size_is_refused(self, tmp_path: Path):
        quick().learn(50).save(tmp_path)
        words = r"^Expected Discrete\(16\) observations as in training, but got Discrete\(48\) .*; pass the environment"
        with pytest.raises(CheckpointError, match=words):
            GIO.load(tmp_path, environment="CliffWalking-v1")

    def test_other_actions_are_refused(self, tmp_path: Path):
        quick(make()).save(tmp_path)
        env = make()
        env.unwrapped.action_space = gymnasium.spaces.Discrete(3)
        with pytest.raises(
            CheckpointError, match=r"^Expected Discrete\(2\) actions as in training, but got Discrete\(3\)"
        ):
            GIO.load(tmp_path, environment=env)

    def test_a_checkpoint_without_what_it_was_trained_with_is_refused(self, tmp_path: Path):
        quick().save(tmp_path)
        state = file_format.read(tmp_path)
        del state["trained_with"]
        file_format.write(tmp_path, state)
        with pytest.raises(CheckpointError, match=r"^Expected a checkpoint that fits"):
            GIO.load(tmp_path)

    def test_an_environment_that_is_no_longer_registered_must_be_passed(self, tmp_path: Path):
        with pytest.MonkeyPatch.context() as patch:
            quick(register(patch)).learn(50).save(tmp_path)
        with pytest.raises(CheckpointError, match="environment="):
            GIO.load(tmp_path)
        assert GIO.load(tmp_path, environment=make()).steps == 50


def test_a_checkpoint_of_before_has_a_plain_critic_and_an_unbounded_policy(tmp_path: Path):
    agent = GIO("Pendulum-v1", **SMALL, critic="plain", bounded_policy=False).learn(60)
    state = agent_state.state_of(agent)
    del state["settings"]["critic"], state["settings"]["bounded_policy"]
    file_format.write(tmp_path, state)
    loaded = GIO.load(tmp_path)
    assert loaded.settings.critic == "plain"
    assert not differences(agent_state.state_of(agent), agent_state.state_of(loaded))
