"""ELBOs of `pyro.infer` as the bound of a world model and its filter."""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pyro.infer
from pyro.infer import config_enumerate
from torch import Tensor

from gio_pyro.beliefs.bound import mean_field_bound, pair
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.world import World
from gio_pyro.errors import GioError, InputError, describe_error, out_of_memory
from gio_pyro.inference import PyroElbo, objective_named
from gio_pyro.inference.pyro_elbo import declare_parameters, mean_bound

WorldObjective = Callable[[World, Piece, int], Tensor]
"""From programs, pieces of episodes and burn-in to a bound, nats per counted instant, with a gradient."""


@dataclass(eq=False)
class PyroBound:
    """An ELBO of Pyro on pieces of episodes, their steps under `pyro.markov`.

    Args:
        elbo: the ELBO; a copy is kept. `TraceEnum_ELBO` enumerates the states of the filter in parallel.
    """

    elbo: pyro.infer.ELBO

    def __post_init__(self) -> None:
        self.elbo = copy.deepcopy(self.elbo)
        self.elbo.max_plate_nesting = 1

    @property
    def enumerates(self) -> bool:
        """Whether it sums over finitely many states."""
        return isinstance(self.elbo, pyro.infer.TraceEnum_ELBO)

    def __call__(self, world: World, piece: Piece, burn_in: int) -> Tensor:
        """Return the mean bound; raises `InputError` where the ELBO cannot be evaluated on these programs."""
        model, inner = pair(world, burn_in)
        inner = config_enumerate(inner, default="parallel") if self.enumerates else inner

        def guide(given: Piece) -> None:
            declare_parameters(name="parameters")
            inner(given)

        parameters = [p for p in world.parameters() if p.requires_grad]
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="TraceEnum_ELBO found no sample sites configured")
                return mean_bound(self.elbo, parameters, float(piece.counted(burn_in).sum()), model, guide, piece)
        except GioError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            raise InputError(
                f"Expected {type(self.elbo).__name__} to fit {world.model.name} and {world.filter.name}, but it raised "
                f"{describe_error(error, 120)}; leave world_objective out."
            ) from error


def world_objective(text: str | None) -> WorldObjective:
    """Return the bound that a text names; the library's own for None.

    Raises:
        InputError: a text that names no ELBO of Pyro.
    """
    if text is None:
        return mean_field_bound
    found = objective_named(text)
    if not isinstance(found, PyroElbo):
        raise InputError(
            f"Expected an ELBO of pyro.infer as world_objective, but got {text}; name one, such as Trace_ELBO, or "
            "leave it out."
        )
    return PyroBound(found.elbo)
