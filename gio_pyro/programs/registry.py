"""Registries of classes by name, with arguments in brackets: `Empowerment(3)`, `path/file.py:Name(depth=2)`."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gio_pyro.errors import GioError, InputError, article, closest, describe_error, raised_by, shown, unknown
from gio_pyro.programs.imports import load_named
from gio_pyro.utils.calls import parse_call

Base = TypeVar("Base")


@dataclass(frozen=True)
class Registry(Generic[Base]):
    """Named classes derived from one base class, and a builder from text."""

    noun: str
    """What a class is, for messages, such as "signal"."""
    home: str
    """The package of the named classes, for messages."""
    base: type[Any]
    """The base class of all, including a user's own."""
    known: Mapping[str, type[Base]]

    def build(self, text: str, given: Sequence[Any], settings: Mapping[str, Any]) -> Base:
        """Return an instance of the class that `text` names.

        Args:
            text: a known name, in any spelling (random_network_distillation), or `package.module:Name` or
                `path/file.py:Name` of a user's class; arguments may follow in brackets.
            given: the leading positional arguments.
            settings: further keyword arguments; they override those in brackets.

        Raises:
            InputError: an unknown name, an unknown setting, or an object that is not a subclass of `base`.
            ProgramError: a file or module that does not exist or does not import, or a class that raises.
        """
        if not isinstance(text, str):
            raise InputError(f"Expected the name of {article(self.noun)}, but got {shown(text)}; see {self.home}.")
        name, bracket, rest = text.partition("(")
        valid, numbers, own = parse_call(f"_{bracket}{rest}")
        kind = self.find_class(name.strip())
        if not valid:
            raise InputError(
                f"Expected {article(self.noun)} with its settings in brackets, but got {shown(text, 80)}; "
                f"see {self.home}."
            )
        settings = {**own, **settings}
        self._require_settings(kind, given, numbers, settings)
        with raised_by(kind.__name__, "__init__"):
            try:
                return kind(*given, *numbers, **settings)
            except (AssertionError, TypeError, ValueError) as error:
                if isinstance(error, GioError) or kind not in self.known.values():
                    raise
                raise InputError(
                    f"Expected {kind.__name__} with valid settings, but it raised {describe_error(error, 150)}; "
                    "correct them."
                ) from error

    def _require_settings(
        self, kind: type[Base], given: Sequence[Any], numbers: Sequence[Any], settings: Mapping[str, Any]
    ) -> None:
        """Raise `InputError` if a class does not accept the arguments."""
        signature = inspect.signature(kind)
        try:
            signature.bind(*given, *numbers, **settings)
        except TypeError as error:
            near = "".join(
                closest(name, signature.parameters) for name in [*settings][:1] if name not in signature.parameters
            )
            own = ", ".join(list(signature.parameters)[len(given) :]) or "none"
            raise InputError(
                f"Expected {kind.__name__} with its own settings ({own}), but got {shown(settings or list(numbers))}: "
                f"{error}{near}; use those."
            ) from error

    def find_class(self, name: str) -> type[Base]:
        """Return the class that a name without arguments refers to; see `build` for errors."""
        one = article(self.noun)
        if is_import_path(name):
            kind = load_named(name, self.noun)
            if not (isinstance(kind, type) and issubclass(kind, self.base)):
                derived = f"{self.home}.{self.base.__name__}"
                raise InputError(f"Expected {one}, a class derived from {derived}, but got {name}; derive it.")
            return kind
        for known, kind in self.known.items():
            if _normalised(known) == _normalised(name):
                return kind
        raise InputError(unknown(one, name, self.known, also=", or file.py:Name"))


def is_import_path(text: str) -> bool:
    """Return whether a name refers to a file or module, not to a registered class."""
    name = text.partition("(")[0].strip()
    return ":" in name or name.endswith(".py")


def _normalised(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
