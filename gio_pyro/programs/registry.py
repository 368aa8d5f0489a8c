"""Classes by their names, with settings in brackets: `Empowerment(3)`, `path/file.py:Name(depth=2)`."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gio_pyro.errors import InputError, article, closest, raised_by, shown, unknown
from gio_pyro.programs import load_named
from gio_pyro.utils.calls import parse_call

Base = TypeVar("Base")


@dataclass(frozen=True)
class Registry(Generic[Base]):
    """The classes of one sort that are known by name, and where others are found."""

    noun: str
    """What one is, for messages."""
    home: str
    """The package they live in, for messages."""
    base: type[Any]
    """What each derives from, a user's own too."""
    known: Mapping[str, type[Base]]

    def build(self, text: str, given: Sequence[Any], settings: Mapping[str, Any]) -> Base:
        """Return one of the class that `text` names, built from what is `given` and from settings of its own.

        Args:
            text: a known name, in any spelling of it (random_network_distillation), or `package.module:Name` or
                `path/file.py:Name` of a class of one's own; settings may follow it in brackets.
            given: what every class takes first.
            settings: further keyword settings.

        Raises:
            InputError: no such name, no such setting, or something that is no such class.
            ProgramError: a file or module that is not there or does not import, or a class that raises.
        """
        if not isinstance(text, str):
            raise InputError(f"Expected the name of {article(self.noun)}, but got {shown(text)}; see {self.home}.")
        name, bracket, rest = text.partition("(")
        valid, numbers, own = parse_call(f"_{bracket}{rest}")
        kind = self._kind(name.strip())
        if not valid:
            raise InputError(
                f"Expected {article(self.noun)} with its settings in brackets, but got {shown(text, 80)}; "
                f"see {self.home}."
            )
        settings = {**own, **settings}
        self._require_settings(kind, given, numbers, settings)
        with raised_by(kind.__name__, "__init__"):
            return kind(*given, *numbers, **settings)

    def _require_settings(
        self, kind: type[Base], given: Sequence[Any], numbers: Sequence[Any], settings: Mapping[str, Any]
    ) -> None:
        """Raise `InputError` where a class is given what it does not take."""
        taken = inspect.signature(kind)
        try:
            taken.bind(*given, *numbers, **settings)
        except TypeError as error:
            near = "".join(closest(name, taken.parameters) for name in [*settings][:1] if name not in taken.parameters)
            own = ", ".join(list(taken.parameters)[len(given) :]) or "none"
            raise InputError(
                f"Expected {kind.__name__} with its own settings ({own}), but got {shown(settings or list(numbers))}: "
                f"{error}{near}; name those that it has."
            ) from error

    def _kind(self, name: str) -> type[Base]:
        one = article(self.noun)
        if elsewhere(name):
            kind = load_named(name, self.noun)
            if not (isinstance(kind, type) and issubclass(kind, self.base)):
                derived = f"{self.home}.{self.base.__name__}"
                raise InputError(f"Expected {one}, a class derived from {derived}, but got {name}; derive it.")
            return kind
        for known, kind in self.known.items():
            if _plain(known) == _plain(name):
                return kind
        raise InputError(unknown(one, name, self.known, also=", or file.py:Name"))


def elsewhere(text: str) -> bool:
    """Whether a name, perhaps with settings, is of a file or module and not one that is known."""
    name = text.partition("(")[0].strip()
    return ":" in name or name.endswith(".py")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
