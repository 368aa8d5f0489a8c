"""One episode of the trained policy as a moving picture."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from gio_pyro.agent import GIO, OTHER_SEED
from gio_pyro.collection import Env, copy_that_renders
from gio_pyro.collection.evaluate import steps_of
from gio_pyro.collection.statistics import frozen
from gio_pyro.utils.files import put

FRAMES = 200
"""Most pictures of an episode; longer ones are shown with every second, fourth, ... step left out."""
SIDE = 240
"""Pixels: the longer side."""
COLOURS = 64
DRIVER = "SDL_VIDEODRIVER"
STEPS = 1_000
"""Most steps of an episode that are filmed."""


def can_film(agent: GIO) -> bool:
    """Whether the environment says that it renders pictures."""
    return "rgb_array" in (agent.env.metadata.get("render_modes") or ())


def film(agent: GIO, path: Path) -> None:
    """Write the GIF of `filmed`; raises `InputError` where the file cannot be written."""
    put(path, filmed(agent))


def filmed(agent: GIO) -> bytes:
    """Play the first episode of an evaluation and return it as a GIF.

    Whatever rendering raises is let through: a package that is missing, no display, no spec.
    """
    with _no_display():
        env = copy_that_renders(agent.env, "rgb_array")
        try:
            with frozen(env):
                kept, every = _pictures(agent, env)
        finally:
            env.close()
    rate = float(env.metadata.get("render_fps") or 30)
    wait = max(int(1000 * every / rate), 20)  # milliseconds; viewers slow down what is faster
    content = io.BytesIO()
    kept[0].save(content, format="GIF", save_all=True, append_images=kept[1:], duration=wait, loop=0)
    return content.getvalue()


@contextmanager
def _no_display() -> Iterator[None]:
    """Tell SDL, which pygame draws with, to look for no display: pictures need none, and it would complain."""
    before = os.environ.get(DRIVER)
    os.environ.setdefault(DRIVER, "dummy")
    try:
        yield
    finally:
        if before is None:
            del os.environ[DRIVER]


def _pictures(agent: GIO, env: Env) -> tuple[list[Any], int]:
    """Return at most `FRAMES` pictures of an episode, evenly spaced, and how many steps apart they are."""
    kept, every = [], 1
    episode = steps_of(agent.predict, env, agent.settings.seed + OTHER_SEED, deterministic=True)
    for step, _ in enumerate(islice(episode, STEPS)):
        if step % every == 0:
            kept.append(_small(env.render()))
        if len(kept) > FRAMES:
            kept, every = kept[::2], 2 * every
    return kept, every


def _small(picture: Any) -> Any:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE))
    return image.quantize(COLOURS)
