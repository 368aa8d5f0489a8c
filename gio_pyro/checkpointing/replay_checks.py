"""Checks of a saved replay: transitions of the agent's spaces, and links that stay within their episode."""

from typing import Any

import torch
from torch import Tensor

from gio_pyro.checkpointing.trained_agent import TrainedAgent
from gio_pyro.checkpointing.validation import check_count
from gio_pyro.data.image_planes import image_axis
from gio_pyro.data.merging import LINKS
from gio_pyro.data.replay_buffer import STORED
from gio_pyro.errors import CheckpointError
from gio_pyro.types import in_space


def check_replay(saved: dict[str, Any], agent: TrainedAgent) -> None:
    """Raise `CheckpointError` for transitions outside the agent's spaces, or links that leave the replay."""
    rows, added = saved["rows"], check_count(saved["added"], "the replay's count")
    size = min(added, agent.replay.capacity)
    streams = _check_streams(saved["streams"])
    last = [row for row, _ in streams["running"].values()]
    if added != agent.steps or bool(rows) != bool(size) or any(number >= added for number in last):
        raise CheckpointError("Expected a replay of every step that was taken, but its counts do not agree.")
    if rows:
        _check_rows(rows, size, agent, images="planes" in saved)
        if "planes" in saved:
            _check_images(rows, saved["planes"], agent)
        _check_links(rows["following"], rows["episode"], added, streams)
        if agent.beliefs.learns:
            _check_histories(rows["preceding"], rows["following"], added)
    for name in ("merged", "gone"):
        if saved.get(name) is not None:
            _check_rows(saved[name], len(saved[name]["weight"]), agent)
    if check_count(saved["unmerged"], "the replay's count") > added:
        raise CheckpointError("Expected a replay of every step that was taken, but its counts do not agree.")


def _check_images(rows: dict[str, Tensor], planes: Tensor, agent: TrainedAgent) -> None:
    """Raise `CheckpointError` for states that do not refer to images of the environment."""
    axis, sides = image_axis(agent.seen_space), list(agent.seen_space.shape or ())
    fits = axis is not None and isinstance(planes, Tensor) and planes.dtype == torch.uint8 and planes.is_contiguous()
    if axis is not None:
        channels = sides.pop(axis)
        for codes in (rows["state"], rows["next_state"]):
            fits = fits and codes.dtype == torch.int32 and codes.shape == (len(rows["reward"]), channels)
            fits = fits and bool(((codes >= 0) & (codes < len(planes))).all())
        fits = fits and list(planes.shape[1:]) == sides
    if not fits:
        raise CheckpointError("Expected a replay of images of the environment, but got others; it is damaged.")


def _check_streams(streams: dict[str, Any]) -> dict[str, Any]:
    """Return the table of episodes; raises `CheckpointError` where it contradicts itself."""
    of, first = streams["streams"], check_count(streams["first"], "an episode")
    if not isinstance(of, Tensor) or of.ndim != 1 or of.dtype != torch.int32 or bool((of < 0).any()):
        raise CheckpointError("Expected the stream of each episode in the replay, but got others.")
    for stream, (row, episode) in streams["running"].items():
        check_count(row, "a place in the replay")
        place = check_count(episode, "an episode") - first
        if not 0 <= place < len(of) or int(of[place]) != int(stream):
            raise CheckpointError("Expected running episodes of the streams in the replay, but got others.")
    return streams


def _check_links(links: Tensor, episode: Tensor, added: int, streams: dict[str, Any]) -> None:
    """Raise `CheckpointError` for links out of the replay or into another episode, and episodes without a stream."""
    size, first = len(episode), int(streams["first"])
    fits = links.shape == episode.shape == (size,) and links.dtype in (torch.uint8, torch.int32)
    fits = fits and episode.dtype == torch.int32 and bool((links >= 0).all())
    if fits:
        slot = torch.arange(size)
        time = added - 1 - (added - 1 - slot) % size
        fits = bool(((episode >= first) & (episode < first + len(streams["streams"]))).all())
        fits = fits and bool((time + links < added).all()) and torch.equal(episode[(slot + links) % size], episode)
    if not fits:
        raise CheckpointError("Expected a replay that fits the environment, but its links lead out of it.")


def _check_histories(preceding: Tensor, following: Tensor, added: int) -> None:
    """Raise `CheckpointError` unless the previous transition of each stored one has it as its next."""
    size = len(following)
    fits = preceding.shape == following.shape and preceding.dtype in (torch.uint8, torch.int32)
    fits = fits and bool((preceding >= 0).all())
    if fits:
        slot, before, after = torch.arange(size), preceding.long(), following.long()
        number = added - 1 - (added - 1 - slot) % size - before
        stored = (before > 0) & (number >= added - size)
        fits = bool((number >= 0).all()) and torch.equal(after[(slot - before) % size][stored], before[stored])
        followed = after > 0
        fits = fits and torch.equal(before[(slot + after) % size][followed], after[followed])
    if not fits:
        raise CheckpointError("Expected a replay whose transitions follow each other, but got others; it is damaged.")


def _check_rows(rows: dict[str, Tensor], size: int, agent: TrainedAgent, *, images: bool = False) -> None:
    """Raise `CheckpointError` for rows outside the agent's spaces; states are left out where they are `images`."""
    states, actions = agent.seen_space, agent.spec.action_space
    own = next((parameter.dtype for parameter in agent.policy.parameters()), None)
    if rows["action"].is_floating_point() and rows["action"].dtype != own:
        raise CheckpointError(
            f"Expected actions of {own}, as torch's default is, but got {rows['action'].dtype}; set that default first "
            "(torch.set_default_dtype)."
        )
    spaces = {"action": actions} if images else {"state": states, "next_state": states, "action": actions}
    if not rows.keys() >= {*STORED}:
        raise CheckpointError(f"Expected a replay of {', '.join(STORED)}, but got {sorted(rows)}; it is damaged.")
    for name, values in rows.items():
        fits = values.shape[:1] == (size,) and values.is_contiguous() and not values.requires_grad
        if name in spaces:
            fits = fits and in_space(values, spaces[name], own if name == "action" else None)
        elif name in ("terminated", "truncated"):
            fits = fits and values.shape == (size,) and values.dtype == torch.bool
        elif name in LINKS:
            fits = fits and values.shape == (size,) and not values.is_floating_point()
        elif name in ("reward", "log_behaviour", "weight"):
            fits = fits and values.shape == (size,) and values.is_floating_point()
        if not fits:
            raise CheckpointError(f"Expected a replay that fits the environment, but its {name} does not.")
