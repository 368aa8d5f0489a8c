"""The running episodes of a world as plain values, and the same episodes again in fresh environments.

The state inside an environment cannot be read. What can be recorded is how it came about: the random state before the
reset, or its seed, and the actions since. Playing them again leads to the same state, unless the environment hides
something from its own random generator; then the states differ, or the rewards do, and that is noticed.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from gio_pyro.collection.environment_adapter import CannotRestore, EnvironmentAdapter
from gio_pyro.collection.episode_recorder import (
    MAX_RECORDED_STEPS,
    EpisodeRecorder,
    generator_state,
    set_generator_state,
)
from gio_pyro.collection.wrappers import REWARD_NORMALISERS, wrapper_chain


def record_episodes(environments: EnvironmentAdapter) -> dict[str, Any]:
    """Return the running episodes of a world as tensors and plain types."""
    return {
        "seen": torch.from_numpy(environments.states.copy()),
        "ended": environments.ended.tolist(),
        "episodes": [_record_episode(recorder) for recorder in environments.recorders],
    }


def restore_episodes(environments: EnvironmentAdapter, record: Mapping[str, Any]) -> None:
    """Bring a fresh world to where the recorded one was; raises `CannotRestore`, after which it must be reset."""
    environments.require_restorable()
    seen, episodes = record["seen"].numpy(), record["episodes"]
    if len(episodes) != len(environments.recorders):
        raise CannotRestore(f"it was recorded with {len(record['ended'])} environments that could not all be reached")
    try:
        for recorder, episode in zip(environments.recorders, episodes, strict=True):
            _replay_episode(recorder, episode)
        bare = environments.replayed_states()
        ended = np.array(record["ended"], dtype=np.bool_)
        states = environments.masks.update(bare, [recorder.mask for recorder in environments.recorders], ended)
    except CannotRestore:
        raise
    except Exception as error:
        raise CannotRestore(f"playing its episode again raised {type(error).__name__}") from error
    if not np.array_equal(states, seen):
        raise CannotRestore("playing its episode again led elsewhere")
    environments.resume_at(states, np.array(record["ended"], dtype=np.bool_))


def _record_episode(recorder: EpisodeRecorder) -> dict[str, Any]:
    return {
        "seed": recorder.seed,
        "origin": _generator_text(recorder.origin),
        "actions": torch.from_numpy(np.array(recorder.actions)),
        "plain": all(isinstance(action, int) for action in recorder.actions[:1]),
        "steps": recorder.steps,
        "total": recorder.total,
        "generator": _generator_text(generator_state(recorder.env)),
    }


def _replay_episode(recorder: EpisodeRecorder, episode: Mapping[str, Any]) -> None:
    now = episode["generator"]
    if now is None or (episode["seed"] is None and episode["origin"] is None):
        raise CannotRestore("it has no random generator np_random")
    if episode["steps"] > MAX_RECORDED_STEPS:
        raise CannotRestore(f"its episode has run for more than {MAX_RECORDED_STEPS:,} steps")
    actions = episode["actions"].tolist() if episode["plain"] else episode["actions"].numpy()
    recorder.play(episode["seed"], _parse_generator(episode["origin"]), actions)
    if any(isinstance(layer, REWARD_NORMALISERS) for layer in wrapper_chain(recorder)):
        recorder.total = episode["total"]  # what it paid was divided by the statistics of the time
    elif recorder.total != episode["total"]:
        raise CannotRestore("playing its episode again earned something else")
    if _generator_text(generator_state(recorder.env)) != now:
        set_generator_state(recorder.env, _parse_generator(now))


def _generator_text(state: Mapping[str, Any] | None) -> str | None:
    """A generator's state as text: its whole numbers have 128 bits."""
    return None if state is None else json.dumps(state, default=np.ndarray.tolist)


def _parse_generator(text: str | None) -> dict[str, Any]:
    return {} if text is None else dict(json.loads(text))
