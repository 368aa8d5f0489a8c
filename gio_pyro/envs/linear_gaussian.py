"""A linear-Gaussian world with quadratic costs, whose optimum is known exactly."""

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from gio_pyro.envs.arguments import number
from gio_pyro.errors import InputError, shown

if TYPE_CHECKING:
    from gio_pyro.tabular.linear import LinearGaussian


class LinearGaussianWorld(gym.Env[Any, Any]):
    """x' = A x + B a + w, y = C x + v; the reward is −(xᵀ Q x + aᵀ R a) of the state and action before the step.

    By default a mass on a line with position and velocity, pushed every tenth of a unit of time; its position is seen
    in noise of standard deviation 0.3. `tabular.lqg` of `system`, `state_cost` and `action_cost` is its optimum, as
    long as actions stay within the box.

    Args:
        system: a `tabular.LinearGaussian` with n state, m action and p observation dimensions; the default above.
        state_cost: Q, `[n, n]`; by default diag(1, 0.1) for the default system, the identity for others.
        action_cost: R, `[m, m]`; by default 0.1 times the identity.
        bound: largest magnitude of an entry of the action; larger ones are clipped.

    Attributes:
        system: the system.
        state_cost: Q, float64 `[n, n]`.
        action_cost: R, float64 `[m, m]`.
        state: the hidden state, float64 `[n]`, also `info["state"]`.

    Raises:
        InputError: not a system, costs of other shapes, or a bound that is not positive.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self, *, system: Any = None, state_cost: Any = None, action_cost: Any = None, bound: float = 10.0
    ) -> None:
        usual = system is None
        self.system = _mass_on_a_line() if usual else _as_system(system)
        n, m = self.system.states, self.system.actions
        self.state_cost = _as_cost("state_cost", np.diag([1.0, 0.1]) if usual else np.eye(n), state_cost)
        self.action_cost = _as_cost("action_cost", 0.1 * np.eye(m), action_cost)
        if number("bound", bound) <= 0:
            raise InputError(f"Expected bound to be above 0, but got {shown(bound)}; 10 is the default.")
        self._tables = {name: table.cpu().numpy() for name, table in vars(self.system).items()}
        self._roots = {name: _root(self._tables[name]) for name in ("covariance", "process_noise", "observation_noise")}
        self.action_space = Box(-bound, bound, (m,), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (self.system.observations,), np.float32)
        self.state = self._tables["mean"].copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Draw the first state from its prior, and an observation of it. `options` are ignored."""
        super().reset(seed=seed, options=options)
        self.state = self._tables["mean"] + self._noise("covariance")
        return self._observe(), {"state": self.state.copy()}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take an action `[m]`, clipped to the box. Truncation is left to `TimeLimit`."""
        a = np.asarray(action, dtype=np.float64)
        if a.shape != self.action_space.shape or not np.isfinite(a).all():
            raise InputError(
                f"Expected a finite action of shape {self.action_space.shape}, but got {shown(action)}; sample one."
            )
        a = a.clip(self.action_space.low, self.action_space.high)  # type: ignore[attr-defined]
        reward = -float(self.state @ self.state_cost @ self.state + a @ self.action_cost @ a)
        moved = self._tables["transition"] @ self.state + self._tables["control"] @ a
        self.state = moved + self._noise("process_noise")
        return self._observe(), reward, False, False, {"state": self.state.copy()}

    def _observe(self) -> NDArray[np.float32]:
        seen = self._tables["emission"] @ self.state + self._noise("observation_noise")
        return np.asarray(seen, dtype=np.float32)

    def _noise(self, name: str) -> NDArray[np.float64]:
        root = self._roots[name]
        return np.asarray(root @ self.np_random.standard_normal(len(root)))


def _mass_on_a_line() -> "LinearGaussian":
    from gio_pyro.tabular.linear import LinearGaussian

    tables: dict[str, Any] = {
        "transition": [[1.0, 0.1], [0.0, 1.0]],
        "control": [[0.005], [0.1]],
        "emission": [[1.0, 0.0]],
        "process_noise": [[1e-4, 0.0], [0.0, 1e-2]],
        "observation_noise": [[0.09]],
        "mean": [0.0, 0.0],
        "covariance": [[1.0, 0.0], [0.0, 0.1]],
    }
    return LinearGaussian(**tables)


def _as_system(system: Any) -> "LinearGaussian":
    from gio_pyro.tabular.linear import as_system

    return as_system(system)


def _as_cost(name: str, default: NDArray[np.float64], cost: Any) -> NDArray[np.float64]:
    """Return a symmetric matrix of costs."""
    try:
        given = default if cost is None else np.asarray(cost, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected {name} as a matrix, but got {shown(cost)}.") from error
    if given.shape != default.shape or not np.isfinite(given).all() or not np.allclose(given, given.T):
        raise InputError(f"Expected {name} to be symmetric and of shape {default.shape}, but got {shown(cost)}.")
    return given


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a matrix whose product with its transpose is the covariance, which may be singular."""
    value, vector = np.linalg.eigh(covariance)
    return np.asarray(vector * np.sqrt(value.clip(min=0.0)))
