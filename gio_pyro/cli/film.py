"""Film of an evaluation episode, as a GIF."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from gio_pyro.agent import GIO, OTHER_SEED
from gio_pyro.collection import Env, copy_for_rendering
from gio_pyro.collection.evaluate import episode_steps
from gio_pyro.collection.wrapper_statistics import freeze_statistics
from gio_pyro.utils.files import write_file

FRAMES = 200
"""Largest number of frames; longer episodes are shown with every second, fourth, ... step."""
SIDE = 240
"""Length of the longer side, pixels."""
COLOURS = 64
DRIVER = "SDL_VIDEODRIVER"
STEPS = 1_000
"""Largest number of steps that are filmed."""


def can_film(agent: GIO) -> bool:
    """Return whether the environment renders images."""
    return "rgb_array" in (agent.env.metadata.get("render_modes") or ())


def film(agent: GIO, path: Path) -> None:
    """Write the GIF of `render_gif`; raises `InputError` where the file cannot be written."""
    write_file(path, render_gif(agent))


def render_gif(agent: GIO) -> bytes:
    """Play the first episode of an evaluation and return it as a GIF.

    Errors of rendering are passed on: a missing package, no display, an environment without a spec.
    """
    with _no_display():
        env = copy_for_rendering(agent.env, "rgb_array")
        try:
            with freeze_statistics(env):
                kept, every = _frames(agent, env)
        finally:
            env.close()
    rate = float(env.metadata.get("render_fps") or 30)
    wait = max(int(1000 * every / rate), 20)  # milliseconds; viewers slow down what is faster
    content = io.BytesIO()
    kept[0].save(content, format="GIF", save_all=True, append_images=kept[1:], duration=wait, loop=0)
    return content.getvalue()


@contextmanager
def _no_display() -> Iterator[None]:
    """Make SDL, which pygame draws with, use no display while frames are rendered."""
    before = os.environ.get(DRIVER)
    os.environ.setdefault(DRIVER, "dummy")
    try:
        yield
    finally:
        if before is None:
            del os.environ[DRIVER]


def _frames(agent: GIO, env: Env) -> tuple[list[Any], int]:
    """Return at most `FRAMES` images of an episode, evenly spaced, and the number of steps between them."""
    kept, every = [], 1
    episode = episode_steps(agent.predict, env, agent.settings.seed + OTHER_SEED, deterministic=True)
    for step, _ in enumerate(islice(episode, STEPS)):
        if step % every == 0:
            kept.append(_thumbnail(env.render()))
        if len(kept) > FRAMES:
            kept, every = kept[::2], 2 * every
    return kept, every


def _thumbnail(picture: Any) -> Any:
    from PIL import Image

    image = Image.fromarray(picture)
    image = image.reduce(max(max(image.size) // SIDE, 1))  # the mean of blocks of pixels, faster than to interpolate
    image.thumbnail((SIDE, SIDE))
    return image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
