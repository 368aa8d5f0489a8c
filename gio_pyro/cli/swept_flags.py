"""The flags of `gio train` that `gio sweep` was given, and those that it varies."""

from collections.abc import Iterator, Sequence
from dataclasses import Field, fields
from typing import Any

from gio_pyro.cli.option_groups import flag, grouped_options
from gio_pyro.cli.options import OwnParts, SweepOptions
from gio_pyro.cli.parsing import parse
from gio_pyro.cli.train_command import train
from gio_pyro.errors import InputError, unknown
from gio_pyro.recipes import recipe_named
from gio_pyro.settings import ALIASES
from gio_pyro.sweep.variants import RECIPE, Variant, parse_choices, parse_range, split_values

PASSED_ON = ("steps", "device", "checkpoint_every")
"""Options of a sweep that are those of its runs."""
PLACES = ("out", "resume", "quiet", "seed", "env_arg")
"""Options of `gio train` that a sweep has in another form."""
ENVIRONMENT = "env."
"""Prefix of arguments of the environment."""


class SweptFlags:
    """The flags of the runs of a sweep.

    Args:
        groups: options of `gio train`; the first has the recipe, or several.
        options: those of the sweep.

    Raises:
        InputError: values that cannot be read, settings that `gio train` does not have, or one that is given twice.
    """

    def __init__(self, groups: Sequence[Any], options: SweepOptions) -> None:
        self.groups, self.options = groups, options
        self.fixed = self._fixed()
        self.choices = self._choices()

    def words(self, variant: Variant | None = None) -> list[str]:
        """Return the arguments of `gio train` for the flags that all runs have, and for those of a variant."""
        fixed = [word for words in self.fixed.values() for word in words]
        return fixed if variant is None else fixed + self.varied(variant)

    def given(self, names: Sequence[str]) -> list[str]:
        """Return the arguments that were given for runs, and the flags of some options of the sweep that were."""
        recipe = [flag(RECIPE)] if self.groups[0].recipe is not None else []
        return [*self.words(), *recipe, *(flag(name) for name in names if getattr(self.options, name))]

    def check(self, environment: str, *, search: bool) -> None:
        """Raise `InputError` for flags that `gio train` would not take, each value that is varied tried once.

        Args:
            environment: the id.
            search: whether values may be ranges.
        """
        for name in self.choices.get(RECIPE, ()):
            recipe_named(name)
        for variant in self._each_choice(search=search):
            parse(["train", environment, *self.words(variant)], {"train": train, "sweep": train})

    @staticmethod
    def varied(variant: Variant) -> list[str]:
        """Return the settings of a variant as arguments of `gio train`."""
        defaults = grouped_options(train)
        words: list[str] = []
        for name, value in variant.values:
            default = defaults.get(ALIASES.get(name, name))
            if name.startswith(ENVIRONMENT):
                words += ["--env-arg", f"{name.removeprefix(ENVIRONMENT)}={value}"]
            elif default is False and value.lower() in ("true", "false"):
                words += [flag(name)] if value.lower() == "true" else []
            elif name == "hidden":
                words += [flag(name), *value.split()]
            else:
                words.append(f"{flag(name)}={value}")
        return words

    def _fixed(self) -> dict[str, list[str]]:
        """Return the arguments for all options that differ from their defaults, by option."""
        holders = [(holder, [option for option in fields(holder) if option.name != RECIPE]) for holder in self.groups]
        holders.append((self.options, [option for option in fields(self.options) if option.name in PASSED_ON]))
        return {
            option.name: _as_words(option, getattr(holder, option.name))
            for holder, options in holders
            for option in options
            if getattr(holder, option.name) != option.default
        }

    def _choices(self) -> dict[str, list[str]]:
        """Return the values of each setting that is varied, recipes first."""
        choices = parse_choices(self.options.set)
        recipes = self.groups[0].recipe
        if recipes is not None:
            if RECIPE in choices:
                raise InputError("Expected --recipe or --set recipe=..., but got both; give one.")
            choices = {RECIPE: split_values(recipes, flag(RECIPE))} | choices
        known = [name for name in grouped_options(train) if name not in PLACES]
        for name in choices:
            own = ALIASES.get(name, name)
            if not name.startswith(ENVIRONMENT) and own not in known:
                raise InputError(unknown("flags of gio train after --set", name, known, advice="see gio train --help"))
            if own in self.fixed:
                raise InputError(f"Expected {flag(name)} or --set {name}=..., but got both; give one.")
        return choices

    def _each_choice(self, *, search: bool) -> Iterator[Variant]:
        """Yield combinations in which every value is once: of a range its lower end; of the others the first."""
        choices = {
            name: [self._end(name, value, search=search and len(each) == 1) for value in each]
            for name, each in self.choices.items()
        }
        first = {name: values[0] for name, values in choices.items()}
        yield Variant(tuple(first.items()))
        for name, values in choices.items():
            for value in values[1:]:
                yield Variant(tuple((first | {name: value}).items()))

    @staticmethod
    def _end(name: str, value: str, *, search: bool) -> str:
        found = parse_range(value)
        if found is None:
            return value
        if not search:
            raise InputError(
                f"Expected values of {name} between commas, but got {value!r}; one range alone is for --search N."
            )
        return str(int(found.low)) if found.whole else f"{found.low:.6g}"


def resumed_with(environment: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that resuming a run needs again: what is not part of the library, and the device.

    Args:
        environment: the id.
        words: arguments of the command that began the run.
    """
    own = {flag(option.name) for option in fields(OwnParts)}
    again = [environment] if ":" in environment else []
    for word in words:
        name, _, value = word.partition("=")
        if name in ("--wrapper", "--device") or (name in own and ":" in value):
            again.append(word)
    return tuple(again)


def _as_words(option: "Field[Any]", value: Any) -> list[str]:
    """Return an option as arguments of the command line."""
    name = "--env-arg" if option.name == "env_arg" else flag(option.name)
    if value is True and option.default is False:
        return [name]
    if not isinstance(value, tuple):
        return [f"{name}={value}"]
    if option.default == ():  # may be given several times
        return [f"{name}={each}" for each in value]
    return [name, *map(str, value)]
