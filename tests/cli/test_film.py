"""Episodes as moving pictures."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from PIL import Image

from gio_pyro import GIO
from gio_pyro.cli import film as module
from gio_pyro.cli.film import SIDE, can_film, film
from tests.cli.shell import gio
from tests.environments import make


class Painted(gym.Env[Any, Any]):
    """An episode of `steps` steps; the picture after step n is n grey levels bright."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gym.spaces.Box(0, 1, (1,), dtype=np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, steps: int = 5, missing: str | None = None, render_mode: str | None = None) -> None:
        self.steps, self.missing, self.render_mode, self.at = steps, missing, render_mode, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.at += 1
        return np.ones(1, dtype=np.float32), 0.0, self.at == self.steps, False, {}

    def render(self) -> Any:
        assert self.render_mode == "rgb_array"
        if self.missing is not None:
            raise gym.error.DependencyNotInstalled(self.missing)
        return np.full((300, 200, 3), self.at % 256, dtype=np.uint8)


FRAMES = 20


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the frames and steps, so that each test takes a fraction of a second."""
    assert module.STEPS == 5 * module.FRAMES
    monkeypatch.setattr(module, "FRAMES", FRAMES)
    monkeypatch.setattr(module, "STEPS", 5 * FRAMES)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> str:
    spec = EnvSpec(id="Painted-v0", entry_point=Painted, disable_env_checker=True)
    monkeypatch.setitem(gym.registry, "Painted-v0", spec)
    return "Painted-v0"


def agent_of(env: str, **kwargs: Any) -> GIO:
    return GIO(gym.make(env, **kwargs), hidden=(4,))


def frames_of(path: Path) -> list[Any]:
    with Image.open(path) as picture:
        assert picture.format == "GIF"
        found = []
        for frame in range(picture.n_frames):
            picture.seek(frame)
            found.append(np.array(picture.convert("L")))
    return found


@pytest.mark.parametrize("steps", [1, 5, FRAMES])
def test_every_step_of_a_short_episode_is_shown(tmp_path: Path, painted: str, steps: int):
    film(agent_of(painted, steps=steps), tmp_path / "a.gif")
    frames = frames_of(tmp_path / "a.gif")
    assert [int(frame[0, 0]) for frame in frames] == list(range(1, steps + 1))
    assert {frame.shape for frame in frames} == {(SIDE, SIDE * 200 // 300)}


@pytest.mark.parametrize("steps", [FRAMES + 1, 99, 500])
def test_a_long_episode_is_thinned_evenly(tmp_path: Path, painted: str, steps: int):
    film(agent_of(painted, steps=steps), tmp_path / "a.gif")
    frames = frames_of(tmp_path / "a.gif")
    assert FRAMES / 2 <= len(frames) <= FRAMES
    assert len({(int(b[0, 0]) - int(a[0, 0])) % 256 for a, b in pairwise(frames)}) == 1


def test_pictures_follow_at_the_speed_of_the_environment(tmp_path: Path, painted: str):
    film(agent_of(painted), tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["duration"] == 100


def test_an_environment_that_renders_nothing_is_not_filmed():
    assert can_film(GIO("CartPole-v1", hidden=(4,)))
    assert not can_film(GIO(make()))


def test_the_process_is_left_as_it_was(tmp_path: Path, painted: str):
    before = dict(os.environ)
    film(agent_of(painted), tmp_path / "a.gif")
    assert dict(os.environ) == before


@pytest.mark.parametrize("missing", [None, "pygame is not installed, run `pip install gymnasium[classic-control]`"])
def test_a_run_is_filmed_or_says_in_one_line_why_not(tmp_path: Path, painted: str, capsys: Any, missing: str | None):
    extra = [] if missing is None else [f"--env.missing={missing}"]
    run = tmp_path / "run"
    assert gio("train", painted, *extra, "--hidden", 4, "--steps", 40, "--out", run, "--quiet") == 0
    assert (run / "episode.gif").exists() == (missing is None)
    said = capsys.readouterr().err.splitlines()
    assert said == (
        [] if missing is None else [f"No episode.gif, because rendering raised DependencyNotInstalled: {missing}."]
    )
