"""Gradient steps on the programs of a finite world, as a captured graph where that gives the same numbers.

All gradient steps of an update are on the same rows, the merged replay. Once every transition that can happen has been
seen, their number no longer changes from one update to the next, so that one graph serves them all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gio_pyro.actor_critic.network_update import Fitting, checked
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.nn.graphs.comparison import equal_bits
from gio_pyro.types import FIELDS, Policy, Transitions, TransitionsWithStates

STEADY = 3
"""Updates in a row with the same number of rows and of states after which a step is captured."""


class TableFit:
    """Fits model and guide to the merged transitions of a finite world.

    Args:
        inference: fits model and guide.
        policy: π, a table.
        others: further modules that these read, such as the action masks.
        how: whether steps run captured, the setting `compile`; they are never compiled.
    """

    def __init__(self, inference: Fitting, policy: nn.Module, others: Sequence[nn.Module], how: bool | str) -> None:
        self.inference, self.policy = inference, policy
        modules = [inference.model, inference.guide, policy, *others]
        self.sources = Sources(modules, list(inference.optimisers.values()))
        progress = Progress("auto" if how else False, captured_only=True)
        self.stepping = GraphedFunction(self._step_of_fixed_shape, self.sources, progress)
        self.shape: tuple[int, int] | None = None
        self.steady = 0
        self.agrees = False
        """Whether a step of fixed shape gives the same numbers, as compared for this shape."""

    def expect(self, steps: int) -> None:
        """Say how many gradient steps are to come, which decides whether to capture one."""
        self.stepping.ahead = steps

    def begin(self, batch: Transitions, future: Tensor) -> Transitions:
        """Return the rows of an update for `step`: with their distinct states, found once, where a graph is to run.

        Args:
            batch: transitions `[B, ...]`.
            future: F of each, `[B, ...]`.
        """
        if not self.inference.one_graph or self.stepping.progress.how is False or self.stepping.progress.refusal:
            return batch
        rows = TransitionsWithStates.of(batch)
        shape = len(rows), len(rows.distinct)
        if shape != self.shape:
            self.stepping.routes.clear()
            self.shape, self.steady, self.agrees = shape, 0, False
        self.steady += 1
        if self.steady == STEADY:
            self.agrees = self._compare(rows, future)
        self.stepping.recheck()
        return rows if self.agrees else batch

    def step(self, rows: Transitions, future: Tensor) -> Figures:
        """Take one gradient step on what `begin` returned and the futures of these rows."""
        run = self.stepping if rows.fixed_shapes else self._step
        return run(future, *rows.tensors())

    def _step(self, future: Tensor, *given: Tensor) -> Figures:
        return self._fit(Transitions(*given[:FIELDS]), future)

    def _step_of_fixed_shape(self, future: Tensor, *given: Tensor) -> Figures:
        return self._fit(TransitionsWithStates(*given), future)

    def _fit(self, rows: Transitions, future: Tensor) -> Figures:
        policy: Policy = self.policy
        return checked(self.inference.step(policy, rows, future))

    def _compare(self, rows: Transitions, future: Tensor) -> bool:
        """Return whether a step of fixed shape gives the numbers of any other, bit for bit; none is taken."""
        saved, results = self.sources.copies(), []
        for run in (self._step, self._step_of_fixed_shape):
            with torch.random.fork_rng():
                figures = run(future, *rows.tensors())
                results.append([*figures.values(), *(tensor for _, tensor in self.sources.copies())])
                results[-1].append(torch.get_rng_state())
            with torch.no_grad():
                for tensor, before in saved:
                    tensor.copy_(before)
        return equal_bits(*results)
