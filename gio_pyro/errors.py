"""Errors and warnings of this library.

Every error derives from `GioError`. Its text is one sentence, "Expected …, but got …; do …", which the command line
prints without a traceback.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from reprlib import Repr
from types import BuiltinFunctionType, FunctionType, ModuleType

LONGEST = 300
"""Length of an error, characters; longer ones, which repeat an argument, are shortened in the middle."""


class GioError(Exception):
    """Base class of the errors of gio_pyro: one line of at most `LONGEST` characters."""

    def __init__(self, *args: object) -> None:
        text = " ".join(str(args[0]).split()) if len(args) == 1 else ""
        if text and len(text) > LONGEST:
            text = f"{text[: LONGEST - 103]}...{text[-100:]}"
        super().__init__(*([text] if text else args))


class InputError(GioError, ValueError):
    """Invalid argument, environment or table."""


class MixedTerminationError(InputError):
    """A transition table enters a state both with and without termination: one value per state cannot hold both."""


class ProgramError(GioError):
    """A custom model, guide, signal or explorer that raises or violates its contract."""


class TrainingError(GioError):
    """Training cannot continue, for instance because a loss, reward or observation is NaN or infinite."""


class CheckpointError(GioError):
    """Invalid or damaged checkpoint, or an agent that cannot be saved in one."""


class GioWarning(UserWarning):
    """Base class of the warnings of gio_pyro."""


class ConvergenceWarning(GioWarning):
    """An iteration reached its limit before its tolerance."""


class DivergenceWarning(GioWarning):
    """Values of a critic exceed the largest return that the observed rewards allow."""


class EntropyCollapseWarning(GioWarning):
    """The entropy of a policy is almost zero."""


class InstabilityWarning(GioWarning):
    """The return falls back while the policy's entropy or mutual information swings."""


class UnknownFutureWarning(GioWarning):
    """Too few transitions in replay have known futures."""


class NoisyInformationWarning(GioWarning):
    """The standard error of the intrinsic reward is large relative to its mean."""


MOST_SHOWN = 60
"""Length of a value in an error, characters."""
MOST_LISTED = 130
"""Length of a list of names in an error, characters."""
_UNREADABLE = re.compile(r" at 0x[0-9a-f]+|\b(array|tensor|Tensor)\(")
"""Parts of a repr that do not belong in a sentence."""


def shown(value: object, length: int = MOST_SHOWN) -> str:
    """Format a value for an error: one line of at most `length` characters, arrays by shape."""
    kind = type(value).__name__
    if isinstance(value, type | FunctionType | BuiltinFunctionType | ModuleType):
        return cut(f"the {_kind_of_object(value)} {value.__name__}", length)
    if hasattr(type(value), "__array__") or hasattr(type(value), "toarray"):
        shape, dtype = getattr(value, "shape", ()), getattr(value, "dtype", None)
        if shape != ():
            return cut(f"{article(kind)} of shape {tuple(shape)}" + (f" and type {dtype}" if dtype else ""), length)
        value = value.item() if hasattr(value, "item") and not getattr(value, "is_meta", False) else kind
    short = Repr()
    short.maxstring = short.maxother = short.maxlong = length
    try:
        text = " ".join(short.repr(value).split())
    except Exception:  # an integer with more digits than Python converts
        text = article(kind)
    return cut(article(kind) if _UNREADABLE.search(text) else text, length)


def _kind_of_object(value: object) -> str:
    return "class" if isinstance(value, type) else "module" if isinstance(value, ModuleType) else "function"


def unknown(what: str, given: object, known: Iterable[str], *, also: str = "", advice: str = "name one") -> str:
    """Return the text of an error about an unknown name, with known names and the closest match.

    Args:
        what: kind of thing named, such as "a signal".
        given: the unknown name.
        known: all valid names.
        also: an alternative to a name, such as ", or file.py:Name".
        advice: what to do.
    """
    names = [*known]
    return f"Expected {what} among {listed(names)}{also}, but got {shown(given)}{closest(given, names)}; {advice}."


def listed(names: Sequence[str]) -> str:
    """Join names with commas, as many as fit, followed by the number of further ones."""
    text = ", ".join(names)
    if len(text) <= MOST_LISTED:
        return text
    start = text[:MOST_LISTED].rpartition(", ")[0]
    return f"{start} and {len(names) - start.count(', ') - 1} more"


def closest(given: object, known: Iterable[str]) -> str:
    """Return " (did you mean NAME?)" for the closest known name; empty if none is close."""
    simplified = {name.partition("(")[0].replace("_", "").replace("-", "").lower(): name for name in known}
    wanted = given.partition("(")[0].replace("_", "").replace("-", "").lower() if isinstance(given, str) else ""
    found = get_close_matches(wanted[:MOST_SHOWN], simplified, 1, 0.6)
    return f" (did you mean {simplified[found[0]]}?)" if found else ""


def cut(text: str, length: int) -> str:
    """Truncate a text to `length` characters, ending in dots."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def article(noun: str) -> str:
    """Return a noun with its indefinite article."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the host or a device is out of memory."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, OSError | RuntimeError) and any(words in text for words in OUT_OF_MEMORY)


OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
"""Out-of-memory messages of torch, its allocators and the operating system."""


def describe_error(error: BaseException, length: int | None = 300) -> str:
    """Return class and text of an error as one sentence without a final period.

    Args:
        error: any exception.
        length: the most characters of its text; None for all. Values of a tensor with NaN that torch rejects are
            replaced by "NaN".
    """
    text = " ".join(str(error).split())
    before, found, values = text.partition("found invalid values: ")
    if found and "nan" in values:
        text = before + found + "NaN"
    text = re.sub(r"[.?!] (?=[A-Z])", "; ", re.sub(r"\. (?=\()", " ", text))
    return f"{type(error).__name__}: {text[:length]}".rstrip(".?!: ")


@contextmanager
def raised_by(name: str, method: str) -> Iterator[None]:
    """Turn exceptions of a custom class into a `ProgramError` that names the class and the method.

    Errors of this library pass unchanged.

    Args:
        name: of the class.
        method: that is called inside the block.
    """
    try:
        yield
    except GioError:
        raise
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"Expected {method} of {name} to run, but it raised {describe_error(error)}; correct its method {method}."
        ) from error
