"""Settings that a sweep varies, as texts of the command line: `temperature=0.1,0.2`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from gio_pyro.errors import InputError

OPEN, CLOSE, QUOTES = "([{", ")]}", "'\""
RANGE = re.compile(r"(?P<low>[-+.\deE]+)\.\.(?P<high>[-+.\deE]+)(?P<log>:log)?")
RECIPE = "recipe"


@dataclass(frozen=True)
class Variant:
    """Settings by name, as texts, in which runs of a sweep differ from the others; empty where nothing is varied."""

    values: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return all settings as text: `recipe=gio temperature=0.1`."""
        return " ".join(f"{name}={value}" for name, value in self.values)


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, for a search."""

    low: float
    high: float
    whole: bool
    """Whether they are whole numbers."""
    log: bool
    """Whether they are searched on a logarithmic scale."""


def variants(choices: Mapping[str, Sequence[str]]) -> list[Variant]:
    """Return every combination of the values of each setting, those of the last setting next to each other."""
    combinations = product(*choices.values())
    return [Variant(tuple(zip(choices, values, strict=True))) for values in combinations]


def parse_choices(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the values of each setting of texts such as `temperature=0.1,0.2`, by name.

    Commas in brackets or quotes belong to a value: `future=NextState,Return(50, 0.99)`.

    Raises:
        InputError: a text of another form, a value that is given twice, or a setting that is given twice.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not re.fullmatch(r"[A-Za-z]\w*(\.\w+)?", name) or not values.strip():
            raise InputError(
                f'Expected --set "NAME=VALUE,VALUE,...", but got {text!r}; for example "temperature=0.1,1".'
            )
        if name in found:
            raise InputError(f"Expected each setting once, but got {name} twice; give all its values with one --set.")
        found[name] = split_values(values, f"--set {name}")
    return found


def split_values(text: str, what: str) -> list[str]:
    """Return the values of a text, which commas outside brackets and quotes separate.

    Args:
        text: the values.
        what: what they are values of, for messages.

    Raises:
        InputError: an empty value, one that is given twice, or brackets that do not match.
    """
    values, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES:
            quote = letter
        else:
            depth += (letter in OPEN) - (letter in CLOSE)
            if letter == "," and depth == 0:
                values.append("")
                continue
        values[-1] += letter
    values = [value.strip() for value in values]
    if depth or quote or "" in values:
        raise InputError(f"Expected {what} to be values between commas, but got {text!r}; close brackets and quotes.")
    if len(set(values)) < len(values):
        raise InputError(f"Expected different values of {what}, but got {text!r}; give each once.")
    return values


def parse_range(text: str) -> Range | None:
    """Return the range that a text such as `1e-4..1e-2:log` or `1..8` describes, None for any other text.

    Raises:
        InputError: bounds that are not numbers or in the wrong order, or a logarithmic range with bounds below 0.
    """
    found = RANGE.fullmatch(text)
    if found is None:
        return None
    try:
        low, high = float(found["low"]), float(found["high"])
    except ValueError:
        low, high = 1.0, 0.0
    if not low < high or (found["log"] and low <= 0):
        raise InputError(
            f"Expected a range LOW..HIGH, positive with :log, but got {text!r}; for example 1e-4..1e-2:log."
        )
    whole = all(re.fullmatch(r"[-+]?\d+", found[bound]) for bound in ("low", "high"))
    return Range(low, high, whole, bool(found["log"]))


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as `0-9` or `0,3,10-14`.

    Raises:
        InputError: a text of another form, or a seed that is given twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if last < first or last - first >= 100_000:
            raise InputError(f"Expected seeds such as 0-9 or 0,3,10-14, but got {text!r}; give whole numbers from 0.")
        seeds += range(first, last + 1)
    if len(set(seeds)) < len(seeds):
        raise InputError(f"Expected each seed once, but got {text!r}; leave out the second.")
    return seeds
