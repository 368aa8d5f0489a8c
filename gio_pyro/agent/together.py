"""Agents that differ in their seed alone and learn in turn, their networks updated by one graph.

Each agent has its own environment, replay and random stream, and learns what it would learn by itself, up to rounding.
Updates of small networks that are not compiled keep a processor busy with starting operations; stacked, the operations
of K agents are started once.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from gio_pyro.actor_critic.network_update import NetworkUpdate
from gio_pyro.agent.gio import GIO, MOST_STEPS
from gio_pyro.callbacks import Metrics
from gio_pyro.errors import InputError
from gio_pyro.nn.graphs.capture import Figures, capture
from gio_pyro.nn.graphs.errors import NotCapturable
from gio_pyro.nn.graphs.function import POLLED_EVERY, GraphedFunction
from gio_pyro.nn.graphs.running import Running
from gio_pyro.nn.graphs.stacked import Stack, joined
from gio_pyro.programs import without_validation
from gio_pyro.utils.checks import function, instance, invalid_argument, whole
from gio_pyro.utils.randomness import PROCESS_LOCK
from gio_pyro.utils.threads import few_threads

Report = Callable[[GIO, Metrics], Any]
MOST_SEEDS = 1_000
ONE = ("gradient_steps", "improvements", "updates")
"""Settings that must be 1: an update is then one graph."""


def learn_seeds(
    environment: str, seeds: Sequence[int], steps: int, *, callback: Report | None = None, **how: Any
) -> list[GIO]:
    """Return agents that differ in their seed and have learned for `steps` environment steps each.

    Their networks are stacked and updated as one (`torch.func`). That pays for small networks whose updates are not
    compiled: with eight seeds each takes 0.4 of the time of one alone, but 1.2 of it once both are compiled
    (`examples/benchmarks/stacked_seeds.py`). Each agent learns what it would learn by itself, up to rounding.

    Args:
        environment: an id registered with Gymnasium; each agent makes its own.
        seeds: one for each agent.
        steps: environment steps of each agent.
        callback: called every `log_interval` steps with each agent and its metrics.
        **how: arguments of `GIO` and settings, the same for all.

    Raises:
        InputError: no seeds, or agents that cannot be updated as one: finite worlds, several gradient steps an update,
            a signal, dreams, an explorer, a planner, a world model, or a future of several steps.
        TrainingError: as in `GIO.learn`.

    Examples:
        >>> agents = learn_seeds("Pendulum-v1", range(8), 4_000, hidden=(64, 64))
    """
    count = whole("steps", steps, 0, MOST_STEPS)
    if callback is not None:
        function("callback", callback, "an agent and its metrics")
    name = instance("environment", environment, str, "each agent makes its own, by its id")
    agents = [GIO(name, seed=seed, **how) for seed in _several(seeds)]
    learn_together(agents, count, callback)
    return agents


def _several(seeds: Sequence[int]) -> list[int]:
    """Return the seeds as a list; raise `InputError` for what is none, or too long to build an agent for each."""
    try:
        found = [] if isinstance(seeds, str | bytes) or len(seeds) > MOST_SEEDS else list(seeds)
    except TypeError:
        found = []
    if not found:
        raise invalid_argument(f"seeds to be from 1 to {MOST_SEEDS} whole numbers", seeds, "range(8) will do")
    return [whole("a seed", seed, 0, 2**32 - 1) for seed in found]


def learn_together(agents: Sequence[GIO], steps: int, callback: Report | None = None) -> None:
    """Let agents that differ in their seed alone learn for `steps` environment steps each.

    Args:
        agents: of networks, each with an environment of its own; none has begun to learn, or all as far.
        steps: environment steps of each agent.
        callback: called every `log_interval` steps with each agent and its metrics.

    Raises:
        InputError: agents that cannot be updated as one.
        TrainingError: as in `GIO.learn`.
    """
    _require_alike(agents)
    first = agents[0]
    end, interval = first.steps + steps, first.settings.log_interval
    own = [_update_of(agent) for agent in agents]
    fits, both = (_Together(agents, functions) for functions in ([u.fitting for u in own], [u.whole for u in own]))
    with PROCESS_LOCK:
        while first.steps < end:
            before = first.steps
            with ExitStack() as stack:
                for context in (torch.inference_mode(False), torch.enable_grad(), without_validation()):
                    stack.enter_context(context)
                stack.enter_context(few_threads(first.settings.hidden))
                count = min(first.settings.train_freq, end - before)
                learns = [_privately(agent, agent._collect, count) for agent in agents]
                if all(learns):
                    if first.steps < first.settings.learning_starts:
                        _fit(agents, fits)
                    else:
                        fits.part()  # what both change is joined anew
                        _fit_and_improve(agents, both)
            if first.steps >= end or first.steps // interval > before // interval:
                for one in (fits, both):
                    one.part()
                for agent in agents:
                    metrics = agent.metrics()
                    if callback is not None:
                        callback(agent, metrics)


def _fit(agents: Sequence[GIO], function: "_Together") -> None:
    """Fit the programs of every agent on a batch of its own replay."""
    batches = [_privately(agent, agent._examples) for agent in agents]
    figures = function([(future, *rows.tensors()) for rows, future in batches])
    for agent, found in zip(agents, figures, strict=True):
        agent._note(found)


def _fit_and_improve(agents: Sequence[GIO], function: "_Together") -> None:
    """Fit the programs of every agent and improve its policy, on a batch of its own replay."""
    batches = [_privately(agent, agent._examples) for agent in agents]
    given = []
    for agent, (rows, future) in zip(agents, batches, strict=True):
        rewarded = agent.reward_mix.mix(rows, agent.steps)
        given.append(_update_of(agent).inputs(rows, future, rewarded, agent.steps, ()))
    for agent, found, (rows, _) in zip(agents, function(given), batches, strict=True):
        agent._note(found)
        _privately(agent, agent.guide.follow, agent.policy, rows)


def _update_of(agent: GIO) -> NetworkUpdate:
    assert agent.update is not None
    return agent.update


def _privately(agent: GIO, function: Callable[..., Any], *given: Any) -> Any:
    """Call a function with the random stream of an agent."""
    with agent.random.use():
        return function(*given)


def _require_alike(agents: Sequence[GIO]) -> None:
    """Raise `InputError` unless the agents can be updated as one."""
    if not agents:
        raise InputError("Expected at least one seed, but got none; give a list of seeds.")
    first = agents[0]
    for agent in agents:
        differing = [n for n in vars(first.settings) if n != "seed" and _of(agent, n) != _of(first, n)]
        if differing or agent.steps != first.steps:
            raise InputError(
                f"Expected agents that differ in their seed alone, but {', '.join(differing) or 'steps'} differ; build "
                "them with the same settings."
            )
    if any(agent.beliefs.learns for agent in agents):
        raise InputError(
            "Expected agents without a world model, but got one of "
            f"{first.beliefs.names['world_model']}; let each seed learn by itself."
        )
    more = [name for name in ONE if getattr(first.settings, name) != 1]
    if more or not first._one_step or first.settings.explorer or first.settings.planner:
        what = ", ".join(f"{name}={getattr(first.settings, name)}" for name in more) or "this agent"
        raise InputError(
            "Expected agents of networks that take one gradient step an update, without a signal, dreams, an explorer, "
            f"a planner or a future of several steps, but got {what}; let each seed learn by itself."
        )


def _of(agent: GIO, name: str) -> Any:
    return getattr(agent.settings, name)


class _Together:
    """One graphed function of several agents.

    Args:
        agents: the agents.
        functions: the function of each.
    """

    def __init__(self, agents: Sequence[GIO], functions: Sequence[GraphedFunction]) -> None:
        self.agents, self.functions = agents, functions
        self.stack: Stack | None = None
        self.running: Running | None = None
        self.calls = 0

    def __call__(self, inputs: Sequence[Sequence[Tensor]]) -> list[Figures]:
        """Return the results of each agent's function for its inputs."""
        if self.stack is None:
            self.stack = self._stack(inputs[0])
        if not self.stack.state:
            self.stack.join()
        draws = [_privately(agent, self.stack.first.draw) for agent in self.agents]
        running, given = self._running(inputs, draws), [*joined(inputs), *joined(draws)]
        if self.calls % POLLED_EVERY == 0 and self.agents[0].settings.compile is not False:
            running.look(given)
        self.calls += 1
        found = running.run(self.stack.state, given, ())
        return [dict(zip(running.graph.names, own, strict=True)) for own in zip(*found, strict=True)]

    def part(self) -> None:
        """Give each agent tensors of its own, until the next call."""
        if self.stack is not None and self.stack.state:
            self.stack.part()

    def _running(self, inputs: Sequence[Sequence[Tensor]], draws: Sequence[Sequence[Tensor]]) -> Running:
        assert self.stack is not None
        graph = self.stack.graph(inputs, draws)
        if self.running is None or self.running.graph is not graph:
            how, step = self.agents[0].settings.compile, self.functions[0].sources.largest_step
            self.running = Running(graph, how is True, step)
            if how is not False:
                self.running.compile()
        return self.running

    def _stack(self, inputs: Sequence[Tensor]) -> Stack:
        agent, function = self.agents[0], self.functions[0]
        try:
            with agent.random.use():
                graph = capture(function.function, inputs, function.sources)
            return Stack(graph, [one.sources for one in self.functions])
        except NotCapturable as reason:
            raise InputError(
                f"Expected agents whose update is one graph, but {reason}; let each seed learn by itself."
            ) from reason
