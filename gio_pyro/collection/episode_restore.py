"""Record the running episodes of environments as plain values, and restore them by replaying their actions.

The internal state of an environment cannot be read. Recorded are the seed, or the random state before the reset, and
the actions since. Replaying them leads to the same state unless the environment has randomness outside its own
generator; then states or rewards differ, which is detected.
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
    """Return the running episodes as tensors and plain types."""
    return {
        "seen": torch.from_numpy(environments.states.copy()),
        "ended": environments.ended.tolist(),
        "episodes": [_record_episode(recorder) for recorder in environments.recorders],
    }


def restore_episodes(environments: EnvironmentAdapter, record: Mapping[str, Any]) -> None:
    """Restore recorded episodes in new environments; raises `CannotRestore`, after which these must be reset."""
    environments.require_restorable()
    seen, episodes = record["seen"].numpy(), record["episodes"]
    if len(episodes) != len(environments.recorders):
        raise CannotRestore(f"it was recorded with {len(record['ended'])} environments that could not all be reached")
    try:
        for recorder, episode in zip(environments.recorders, episodes, strict=True):
            _replay_episode(recorder, episode)
        unmasked = environments.replayed_states()
        ended = np.array(record["ended"], dtype=np.bool_)
        states = environments.masks.update(unmasked, [recorder.mask for recorder in environments.recorders], ended)
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
        recorder.total = episode["total"]  # rewards were normalised by the statistics of that time
    elif recorder.total != episode["total"]:
        raise CannotRestore("playing its episode again earned something else")
    if _generator_text(generator_state(recorder.env)) != now:
        set_generator_state(recorder.env, _parse_generator(now))


def _generator_text(state: Mapping[str, Any] | None) -> str | None:
    """Return a generator's state as text, as its integers have 128 bits."""
    return None if state is None else json.dumps(state, default=np.ndarray.tolist)


def _parse_generator(text: str | None) -> dict[str, Any]:
    return {} if text is None else dict(json.loads(text))
