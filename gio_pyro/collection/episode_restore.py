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

from gio_pyro.collection.base import CannotRestore, World
from gio_pyro.collection.episode_recorder import LONGEST, EpisodeRecorder, generator_state, set_generator_state
from gio_pyro.collection.layers import REWARD_NORMALISERS, chain


def record_of(world: World) -> dict[str, Any]:
    """Return the running episodes of a world as tensors and plain types."""
    return {
        "seen": torch.from_numpy(world.seen.copy()),
        "ended": world.ended.tolist(),
        "episodes": [_episode(tape) for tape in world.tapes],
    }


def restore(world: World, record: Mapping[str, Any]) -> None:
    """Bring a fresh world to where the recorded one was; raises `CannotRestore`, after which it must be reset."""
    world.must_be_restorable()
    seen, episodes = record["seen"].numpy(), record["episodes"]
    if len(episodes) != len(world.tapes):
        raise CannotRestore(f"it was recorded with {len(record['ended'])} environments that could not all be reached")
    try:
        for tape, episode in zip(world.tapes, episodes, strict=True):
            _play(tape, episode)
        bare = world.shown()
        ended = np.array(record["ended"], dtype=np.bool_)
        states = world.masks.beside(bare, [tape.mask for tape in world.tapes], ended)
    except CannotRestore:
        raise
    except Exception as error:
        raise CannotRestore(f"playing its episode again raised {type(error).__name__}") from error
    if not np.array_equal(states, seen):
        raise CannotRestore("playing its episode again led elsewhere")
    world.settle(states, np.array(record["ended"], dtype=np.bool_))


def _episode(tape: EpisodeRecorder) -> dict[str, Any]:
    return {
        "seed": tape.seed,
        "origin": _text(tape.origin),
        "actions": torch.from_numpy(np.array(tape.actions)),
        "plain": all(isinstance(action, int) for action in tape.actions[:1]),
        "steps": tape.steps,
        "total": tape.total,
        "generator": _text(generator_state(tape.env)),
    }


def _play(tape: EpisodeRecorder, episode: Mapping[str, Any]) -> None:
    now = episode["generator"]
    if now is None or (episode["seed"] is None and episode["origin"] is None):
        raise CannotRestore("it has no random generator np_random")
    if episode["steps"] > LONGEST:
        raise CannotRestore(f"its episode has run for more than {LONGEST:,} steps")
    actions = episode["actions"].tolist() if episode["plain"] else episode["actions"].numpy()
    tape.play(episode["seed"], _state(episode["origin"]), actions)
    if any(isinstance(layer, REWARD_NORMALISERS) for layer in chain(tape)):
        tape.total = episode["total"]  # what it paid was divided by the statistics of the time
    elif tape.total != episode["total"]:
        raise CannotRestore("playing its episode again earned something else")
    if _text(generator_state(tape.env)) != now:
        set_generator_state(tape.env, _state(now))


def _text(state: Mapping[str, Any] | None) -> str | None:
    """A generator's state as text: its whole numbers have 128 bits."""
    return None if state is None else json.dumps(state, default=np.ndarray.tolist)


def _state(text: str | None) -> dict[str, Any]:
    return {} if text is None else dict(json.loads(text))
