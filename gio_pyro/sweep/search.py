"""Settings that are searched for with Optuna, whose study is a file in the folder of a sweep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gio_pyro.errors import InputError
from gio_pyro.sweep.variants import Range, Variant, parse_range

STUDY = "study.log"
SEED = 0
"""Seed of the sampler of the first trial; that of each further one is the next."""


@dataclass(frozen=True)
class Trial:
    """Values that the search wants to know the return of."""

    number: int
    variant: Variant


class Search:
    """A search for the settings with the highest mean return, which a later process can continue.

    Args:
        folder: where the study is kept.
        space: the values of each setting: texts, or one text that is a range (`parse_range`).

    Raises:
        InputError: Optuna is not installed, or nothing is to be searched.
    """

    def __init__(self, folder: Path, space: Mapping[str, Sequence[str]]) -> None:
        try:
            import optuna
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend
        except ImportError as error:
            raise InputError("Expected Optuna for --search, but got none; pip install 'gio-pyro[scale]'.") from error
        if not space:
            raise InputError(
                'Expected --set beside --search, but got none; for example --set "temperature=0.01..1:log".'
            )
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space = {name: _values(values) for name, values in space.items()}
        self.optuna: Any = optuna
        self.study: Any = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / STUDY))),
            study_name="sweep",
            direction="maximize",
            load_if_exists=True,
        )

    def interrupted(self) -> list[Trial]:
        """Return the trials that an earlier process began and whose return is not known."""
        running = self.study.get_trials(states=(self.optuna.trial.TrialState.RUNNING,))
        return [
            Trial(one.number, self._variant(one.params)) for one in running if one.params.keys() == self.space.keys()
        ]

    def ask(self) -> Trial:
        """Return the next trial, the same in a search that was interrupted."""
        number = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = self.optuna.samplers.TPESampler(seed=SEED + number, constant_liar=True)
        trial = self.study.ask()
        for name, values in self.space.items():
            if isinstance(values, list):
                trial.suggest_categorical(name, values)
            elif values.whole:
                trial.suggest_int(name, int(values.low), int(values.high), log=values.log)
            else:
                trial.suggest_float(name, values.low, values.high, log=values.log)
        return Trial(trial.number, self._variant(trial.params))

    def tell(self, number: int, score: float) -> None:
        """Say what the mean return of a trial is; NaN for one that failed."""
        if math.isfinite(score):
            self.study.tell(number, score)
        else:
            self.study.tell(number, state=self.optuna.trial.TrialState.FAIL)

    def ended(self) -> int:
        """Return the number of trials whose return is known, or that failed."""
        return sum(one.state.is_finished() for one in self.study.get_trials())

    def best(self) -> tuple[Variant, float] | None:
        """Return the values with the highest mean return, and it; None before the first."""
        try:
            return self._variant(self.study.best_params), float(self.study.best_value)
        except ValueError:
            return None

    def _variant(self, params: Mapping[str, Any]) -> Variant:
        """Return values as texts of the command line, numbers with six digits."""
        return Variant(tuple((n, f"{v:.6g}" if isinstance(v, float) else str(v)) for n, v in params.items()))


def _values(values: Sequence[str]) -> Range | list[str]:
    found = parse_range(values[0]) if len(values) == 1 else None
    return list(values) if found is None else found
