"""Draw programs as graphs of sites: `pyro.render_model` with graphviz, a drawing of our own without.

Arguments of the programs (state and future; of world models and filters belief, action and, for filters, observation)
are drawn as observed sites, so that what depends on them is seen.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence, Set
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.inspect import get_model_relations
from torch import Tensor

from gio_pyro.beliefs.beliefs import Beliefs
from gio_pyro.beliefs.programs import OBSERVATION
from gio_pyro.diagnostics.evidence import judging
from gio_pyro.diagnostics.svg import ACCENT, INK, MUTED, PAGE, drawing, svg
from gio_pyro.programs import example
from gio_pyro.programs.sites import FUTURE
from gio_pyro.types import Seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gio_pyro.agent import GIO
    from gio_pyro.beliefs.world import World

STATE = "state"
WIDE, HIGH, COLUMN, ROW = 1.15, 0.46, 1.5, 0.95
"""Width and height of a site, and distances of columns and rows; inches."""
RIGHT = 0.42
"""Distance of the frame of a plate from the sites in it, on the right, inches."""
LETTERS = 18
"""Most letters of a name that is drawn."""
Place = tuple[float, int]
"""Column, from the middle, and row."""
Point = tuple[float, float]
"""Inches."""

Run = Callable[[], Any]


def program_graphs(agent: GIO) -> tuple[list[str], list[str]]:
    """Return `<svg>` elements of model and guide, world model and filter, and the names of those that are not drawn.

    Pyro follows values through tensors; a program that takes them apart, or indexes lists by them, is not drawn.
    """
    panels, missing = [], []
    for program, run in _runs(agent):
        with judging(agent):
            found = _drawn(run, program.name)
        panels += [found] if found else []
        missing += [] if found else [program.name]
    return panels, missing


def _runs(agent: GIO) -> Sequence[tuple[Any, Run]]:
    """Return each program and how to run it: model and guide, and where there are any, world model and filter."""
    spec, policy = agent.spec, agent.policy
    with judging(agent):
        spaces = (spec.state_space, spec.future_space)
        state, future = (torch.cat(2 * [example(space, agent.device)]) for space in spaces)

    def model() -> Any:
        return agent.model(policy, _given(STATE, state), future)

    def guide() -> Any:
        return agent.guide(policy, _given(STATE, state), _given(FUTURE, future))

    pair = [(agent.model, model), (agent.guide, guide)]
    beliefs = agent.beliefs
    return [*pair, *_world_runs(beliefs.world, agent, state)] if isinstance(beliefs, Beliefs) else pair


def _world_runs(world: World, agent: GIO, belief: Tensor) -> Sequence[tuple[Any, Run]]:
    """Return the same for world model and filter, at what was seen last and an example of a belief."""
    last = agent.replay.seen.latest(1)
    seen = Seen(*(torch.cat([one, one]) for one in (last.next_state, last.reward, last.terminated)))
    action = torch.cat(2 * [example(agent.spec.action_space, agent.device)])

    def world_model() -> Any:
        return world.model(_given("belief", belief), _given("action", action), seen)

    def filter() -> Any:
        shown = Seen(_given(OBSERVATION, seen.observation), seen.reward, seen.terminated)
        return world.filter(_given("belief", belief), _given("action", action), shown)

    return [(world.model, world_model), (world.filter, filter)]


class Given(dist.Normal):  # type: ignore[misc, unused-ignore]
    """Stands for the distribution of an argument, which has none."""


def _given(name: str, value: Tensor) -> Tensor:
    """Return an argument as the value of an observed site, whatever its distribution."""
    one: Any = Given(torch.zeros((), device=value.device), 1.0)
    found: Tensor = pyro.sample(name, one.expand(value.shape).to_event(value.ndim), obs=value)
    return found


def _drawn(run: Run, title: str) -> str | None:
    try:
        relations = get_model_relations(run)
        return rendered(run, title) if has_graphviz() else graph(relations, title)
    except Exception:  # whatever a program does with tensors that carry their provenance
        return None


def has_graphviz() -> bool:
    """Return whether the package graphviz and its program dot are installed."""
    return find_spec("graphviz") is not None and shutil.which("dot") is not None


def rendered(run: Run, title: str) -> str:
    """Return the graph of `pyro.render_model` as an `<svg>` element in the colours of the page."""
    found = pyro.render_model(run)
    found.attr(bgcolor="transparent", label=title, labelloc="t", fontsize="12")
    text = found.pipe(format="svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<title>.*?</title>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' (id|xmlns|xmlns:xlink|font-family)="[^"]*"', "", text)
    width = re.search(r'width="(\d+)pt" height="\d+pt"', text)
    assert width is not None
    text = text.replace(width[0], f'style="max-width: {int(width[1]) * 4 // 3}px"', 1)
    colours = {"black": "var(--ink)", "gray": "var(--line)", "white": "none"}
    text = re.sub(r"(?<=\")(black|gray|white)(?=\")", lambda found: colours[found[0]], text)
    return text.replace("<text ", '<text fill="var(--ink)" ').strip()


def graph(relations: Mapping[str, Any], title: str) -> str:
    """Return a drawing of what `get_model_relations` returns: arrows to what depends, observed sites grey, plates."""
    parents: Mapping[str, list[str]] = relations["sample_sample"]
    plates: Mapping[str, list[str]] = relations["plate_sample"]
    places = _places(parents, {name for names in plates.values() for name in names})
    half = max(1.45, max(abs(x) for x, _ in places.values()) * COLUMN + WIDE / 2 + RIGHT + 0.03)
    rows = 1 + max(y for _, y in places.values())
    with drawing(2 * half, rows * ROW + 0.25) as axes:
        axes.set_axis_off()
        axes.set(xlim=(-half, half), ylim=(0.2 - rows * ROW, 0.45), title=title)
        for plate, names in plates.items():
            _plate(axes, plate, [places[name] for name in names])
        boxes = {name: _site(axes, name, places[name], relations) for name in parents}
        for name, above in parents.items():
            for parent in above:
                others = [_middle(box) for other, box in boxes.items() if other not in (parent, name)]
                _arrow(axes, boxes[parent], boxes[name], _bend(_middle(boxes[parent]), _middle(boxes[name]), others))
        return svg(axes)


def _places(parents: Mapping[str, list[str]], plated: Set[str]) -> dict[str, Place]:
    """Return the place of each site: a row below all that it depends on, and, in a plate, below all that have none.

    Rows are centred. So the frame of a plate holds no site of another row that is not in it.
    """
    row: dict[str, int] = {}
    for name, above in parents.items():
        if name not in plated and all(parent in row for parent in above):
            row[name] = 1 + max((row[parent] for parent in above), default=-1)
    first = 1 + max(row.values(), default=-1)
    for name, above in parents.items():
        if name not in row:
            row[name] = max([first, *(row[parent] + 1 for parent in above)])
    sites = {y: [name for name in row if row[name] == y] for y in row.values()}
    return {name: (sites[y].index(name) - (len(sites[y]) - 1) / 2, y) for name, y in row.items()}


def _centre(place: Place) -> tuple[float, float]:
    return place[0] * COLUMN, -place[1] * ROW


def _site(axes: Axes, name: str, place: Place, relations: Mapping[str, Any]) -> Any:
    from matplotlib.patches import FancyBboxPatch

    x, y = _centre(place)
    corner, style = (x - WIDE / 2, y - HIGH / 2), "round,pad=0,rounding_size=0.22"
    box = FancyBboxPatch(corner, WIDE, HIGH, boxstyle=style, edgecolor=INK, facecolor=PAGE, zorder=2)
    axes.add_patch(box)
    if name in relations["observed"]:
        grey = FancyBboxPatch(corner, WIDE, HIGH, boxstyle=style, facecolor=MUTED, alpha=0.3, linewidth=0, zorder=2)
        axes.add_patch(grey)
    found = relations["sample_dist"][name]
    kind = "given" if found == Given.__name__ else found
    axes.text(x, y + 0.02 * HIGH, _short(name), ha="center", va="bottom", fontweight="bold")
    axes.text(
        x,
        y - 0.1 * HIGH,
        _short("given" if kind == Given.__name__ else kind),
        ha="center",
        va="top",
        fontsize=7.5,
        color=MUTED,
    )
    return box


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _middle(box: Any) -> Point:
    return box.get_x() + WIDE / 2, box.get_y() + HIGH / 2


def _bend(start: Point, end: Point, others: Sequence[Point]) -> float:
    """Return the least bend of an arrow that passes no other site, of those that are tried; to the left at first."""
    sign = 1.0 if start[0] <= end[0] else -1.0
    tried = [0.0, *(side * sign * size / 10 for size in range(3, 16) for side in (1, -1))]
    return next((bend for bend in tried if not _meets(start, end, bend, others)), sign * 0.7)


def _meets(start: Point, end: Point, bend: float, others: Sequence[Point]) -> bool:
    """Return whether the curve between two points, as matplotlib's arc3 draws it, meets one of other sites."""
    (x_0, y_0), (x_2, y_2) = start, end
    x_1, y_1 = (x_0 + x_2) / 2 + bend * (y_2 - y_0), (y_0 + y_2) / 2 - bend * (x_2 - x_0)
    for t in (step / 20 for step in range(1, 20)):
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        x, y = a * x_0 + b * x_1 + c * x_2, a * y_0 + b * y_1 + c * y_2
        if any(abs(x - u) < WIDE / 2 + 0.05 and abs(y - v) < HIGH / 2 + 0.05 for u, v in others):
            return True
    return False


def _arrow(axes: Axes, tail: Any, head: Any, bend: float) -> None:
    """Draw an arrow from one site to another."""
    from matplotlib.patches import FancyArrowPatch

    arrow = FancyArrowPatch(
        _middle(tail),
        _middle(head),
        patchA=tail,
        patchB=head,
        connectionstyle=f"arc3,rad={bend:.2f}",
        arrowstyle="-|>",
        mutation_scale=11,
        color=ACCENT,
        shrinkA=0,
        shrinkB=1,
        zorder=1,
    )
    axes.add_patch(arrow)


def _plate(axes: Axes, name: str, places: list[Place]) -> None:
    from matplotlib.patches import Rectangle

    centres = [_centre(place) for place in places]
    left, bottom = min(x for x, _ in centres) - WIDE / 2 - 0.22, min(y for _, y in centres) - HIGH / 2 - 0.2
    right, top = max(x for x, _ in centres) + WIDE / 2 + RIGHT, max(y for _, y in centres) + HIGH / 2 + 0.14
    size = (right - left, top - bottom)
    axes.add_patch(Rectangle((left, bottom), *size, edgecolor=MUTED, facecolor="none", linewidth=0.8))
    label = name.removesuffix("__CLONE")
    axes.text(right - 0.06, bottom + 0.04, _short(label), ha="right", va="bottom", fontsize=8, color=MUTED)
