"""The graphs of programs: what depends on what, with and without graphviz."""

import re
import shutil
import xml.etree.ElementTree as ET
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
from pyro.infer.inspect import get_model_relations

from gio_pyro import GIO
from gio_pyro.diagnostics import program_graphs as graphs
from gio_pyro.diagnostics.program_graphs import graph, has_graphviz, program_graphs, rendered
from tests.agents import differences, untouched

SETTINGS = {"hidden": (8,), "learning_starts": 20, "batch_size": 16}


def with_latents() -> None:
    weight = pyro.sample("weight", dist.Normal(0.0, 1.0))
    with pyro.plate("batch", 3):
        action = pyro.sample("action", dist.Normal(0.0, 1.0))
        z = pyro.sample("z", dist.Normal(action, 1.0))
        pyro.sample("future", dist.Normal(weight * z, 1.0), obs=action)


def words(svg: str) -> list[str]:
    texts = (text.strip() for text in ET.fromstring(svg).itertext())
    return [text for text in texts if text and not text.startswith("*{")]


@pytest.fixture
def _no_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "has_graphviz", lambda: False)


@pytest.mark.usefixtures("_no_graphviz")
def test_both_programs_are_drawn_and_nothing_is_touched():
    watched, alone = (GIO("Pendulum-v1", **SETTINGS).learn(30) for _ in range(2))
    with untouched():
        (model, guide), missing = program_graphs(watched)
    assert words(model) == ["batch", "state", "given", "action", "Normal", "future", "Normal", "GaussianModel"]
    assert words(guide) == ["batch", "state", "given", "future", "given", "action", "Normal", "GaussianGuide"]
    assert not missing
    assert not differences(watched.learn(3), alone.learn(3))


@pytest.mark.usefixtures("_no_graphviz")
def test_a_world_model_and_its_filter_are_drawn_beside_them():
    agent = GIO("gio/Tiger-v0", world_model="FiniteStateSpace", hidden=(8,), learning_starts=20).learn(30)
    with untouched():
        (_, _, world, filter), missing = program_graphs(agent)
    given = ["belief", "given", "action", "given"]
    sites = ["state", "Categorical", "observation", "Categorical", "reward", "MixtureSameFamily"]
    assert sorted(words(world)) == sorted(["batch", *given, *sites, "terminated", "Bernoulli", "FiniteStateSpace"])
    assert sorted(words(filter)) == sorted(["batch", *given, "observation", "given", *sites[:2], "ForwardFilter"])
    assert not missing


def test_latent_sites_have_their_places():
    relations = get_model_relations(with_latents)
    assert graphs._places(relations["sample_sample"], {"action", "z", "future"}) == {
        "weight": (0.0, 0), "action": (0.0, 1), "z": (0.0, 2), "future": (0.0, 3),
    }  # fmt: skip
    drawn = graph(relations, "with latents")
    assert {"weight", "action", "z", "future", "batch", "with latents"} <= set(words(drawn))
    assert not re.search(r"#0\d0\d0\d", drawn)  # every colour is one of the page


def deep_and_wide() -> None:
    scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
    weight = pyro.sample("weight", dist.Normal(0.0, scale))
    with pyro.plate("batch", 3):
        parts = [pyro.sample(f"z{i}", dist.Normal(0.0, 1.0)) for i in range(3)]
        pyro.sample("future", dist.Normal(weight * sum(parts), 1.0))


def test_the_frame_of_a_plate_holds_its_sites_alone_and_lies_inside_the_drawing(monkeypatch: pytest.MonkeyPatch):
    frames, boxes, limits = [], {}, []
    plate, site, svg = graphs._plate, graphs._site, graphs.svg

    def watched_plate(axes: Any, *given: Any) -> None:
        plate(axes, *given)
        frames.append(axes.patches[-1].get_bbox())

    def watched_site(axes: Any, name: str, *given: Any) -> Any:
        boxes[name] = site(axes, name, *given)
        return boxes[name]

    def watched_svg(axes: Any) -> str:
        limits.append(axes.viewLim.frozen())
        return svg(axes)

    monkeypatch.setattr(graphs, "_plate", watched_plate)
    monkeypatch.setattr(graphs, "_site", watched_site)
    monkeypatch.setattr(graphs, "svg", watched_svg)
    graph(get_model_relations(deep_and_wide), "wide")
    (frame,), (view,) = frames, limits
    inside = {name for name, box in boxes.items() if frame.overlaps(box.get_bbox())}
    assert inside == {"z0", "z1", "z2", "future"}
    assert view.x0 < frame.x0
    assert frame.x1 < view.x1
    assert view.y0 < frame.y0


def test_arrows_pass_no_other_site():
    start, end, between = (0.0, 0.0), (0.0, -1.9), [(-0.75, -0.95), (0.75, -0.95)]
    assert graphs._bend(start, end, []) == 0
    assert not graphs._meets(start, end, graphs._bend(start, end, between), between)
    assert graphs._meets(start, end, 0.7, between)


@pytest.mark.usefixtures("_no_graphviz")
def test_a_program_that_cannot_be_tracked_is_named():
    agent = GIO("FrozenLake-v1", guide="BayesGuide", train_freq=50).learn(50)
    panels, missing = program_graphs(agent)
    assert (len(panels), missing) == (1, ["BayesGuide"])


@pytest.mark.skipif(not has_graphviz(), reason="needs graphviz, the package and the program dot")
def test_graphviz_draws_what_pyro_renders():
    drawn = rendered(with_latents, "with latents")
    assert {"weight", "action", "z", "future", "batch", "with latents"} <= set(words(drawn))
    assert "black" not in drawn


def test_graphviz_is_optional(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not has_graphviz()


class Digraph:
    """Stands in for graphviz."""

    SVG = (
        '<?xml version="1.0"?>\n<!-- by graphviz -->\n<svg width="77pt" height="90pt" viewBox="0 0 77 90" '
        'xmlns="http://www.w3.org/2000/svg"><g id="graph0"><title>G</title><ellipse fill="gray" stroke="black"/>'
        '<text font-family="Times,serif" x="3">z</text></g></svg>'
    )

    def attr(self, **given: str) -> None:
        assert given["bgcolor"] == "transparent"

    def pipe(self, format: str) -> bytes:
        return self.SVG.encode()


def test_what_graphviz_draws_takes_the_colours_of_the_page(monkeypatch: pytest.MonkeyPatch):
    made: Any = Digraph()
    monkeypatch.setattr(pyro, "render_model", lambda run: made)
    assert rendered(with_latents, "title") == (
        '<svg style="max-width: 102px" viewBox="0 0 77 90"><g><ellipse fill="var(--line)" stroke="var(--ink)"/>'
        '<text fill="var(--ink)" x="3">z</text></g></svg>'
    )
