"""What can go wrong, by name.

Every error of this library derives from `GioError`, and its text is one sentence: what was expected, what was
got, what to do next. The command line prints that sentence and nothing else.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from reprlib import Repr
from types import BuiltinFunctionType, FunctionType, ModuleType

LONGEST = 300
"""Characters of an error; of a longer one, which repeats what somebody gave, the middle is left out."""


class GioError(Exception):
    """Base of every error raised on purpose by gio_pyro: one line of at most `LONGEST` characters."""

    def __init__(self, *args: object) -> None:
        text = " ".join(str(args[0]).split()) if len(args) == 1 else ""
        if text and len(text) > LONGEST:
            text = f"{text[: LONGEST - 103]}...{text[-100:]}"
        super().__init__(*([text] if text else args))


class InputError(GioError, ValueError):
    """An argument, an environment or a table that cannot be used as it is."""


class MixedTerminationError(InputError):
    """A transition table that enters a state both with and without termination: no table of values can say that."""


class ProgramError(GioError):
    """A program of somebody's own that breaks its contract or raises: a model or guide, a signal, an explorer."""


class TrainingError(GioError):
    """Learning cannot go on: a loss, a reward or an observation is NaN or infinite."""


class CheckpointError(GioError):
    """A file that is not a whole checkpoint of this library, or an agent that no such file can hold."""


class GioWarning(UserWarning):
    """Base of every warning issued by gio_pyro."""


class ConvergenceWarning(GioWarning):
    """An iteration stopped at its limit before it reached its tolerance."""


class DivergenceWarning(GioWarning):
    """A critic claims more than the rewards seen allow."""


class EntropyCollapseWarning(GioWarning):
    """A policy has all but stopped exploring."""


class UnknownFutureWarning(GioWarning):
    """Replay does not know what follows in as many steps as the future has."""


class NoisyInformationWarning(GioWarning):
    """The intrinsic reward is read with so much noise that its mean says little."""


MOST_SHOWN = 60
"""Characters of a value that an error repeats."""
MOST_LISTED = 130
"""Characters of known names that an error lists."""
_FOREIGN = re.compile(r" at 0x[0-9a-f]+|\b(array|tensor|Tensor)\(")
"""What a representation has in it that no sentence should."""


def shown(value: object, length: int = MOST_SHOWN) -> str:
    """Return a value as an error repeats it: on one line, at most `length` characters, arrays by their shape."""
    kind = type(value).__name__
    if isinstance(value, type | FunctionType | BuiltinFunctionType | ModuleType):
        return cut(f"the {_sort(value)} {value.__name__}", length)
    if hasattr(type(value), "__array__") or hasattr(type(value), "toarray"):
        shape, dtype = getattr(value, "shape", ()), getattr(value, "dtype", None)
        if shape != ():
            return cut(f"{article(kind)} of shape {tuple(shape)}" + (f" and type {dtype}" if dtype else ""), length)
        value = value.item() if hasattr(value, "item") and not getattr(value, "is_meta", False) else kind
    short = Repr()
    short.maxstring = short.maxother = short.maxlong = length
    try:
        text = " ".join(short.repr(value).split())
    except Exception:  # a whole number of more digits than Python writes
        text = article(kind)
    return cut(article(kind) if _FOREIGN.search(text) else text, length)


def _sort(value: object) -> str:
    return "class" if isinstance(value, type) else "module" if isinstance(value, ModuleType) else "function"


def unknown(what: str, given: object, known: Iterable[str], *, also: str = "", advice: str = "name one") -> str:
    """Return the sentence about a name that is not known: some that are, and the closest one.

    Args:
        what: what it should be the name of, such as "a signal".
        given: what was given.
        known: the names that there are.
        also: what else would do, such as ", or file.py:Name".
        advice: what to do.
    """
    names = [*known]
    return f"Expected {what} among {listed(names)}{also}, but got {shown(given)}{closest(given, names)}; {advice}."


def listed(names: Sequence[str]) -> str:
    """Return names with commas between them, as many as fit, and how many there are besides."""
    text = ", ".join(names)
    if len(text) <= MOST_LISTED:
        return text
    start = text[:MOST_LISTED].rpartition(", ")[0]
    return f"{start} and {len(names) - start.count(', ') - 1} more"


def closest(given: object, known: Iterable[str]) -> str:
    """Return in brackets the question whether the closest known name was meant, or nothing where none is close."""
    plain = {name.partition("(")[0].replace("_", "").replace("-", "").lower(): name for name in known}
    asked = given.partition("(")[0].replace("_", "").replace("-", "").lower() if isinstance(given, str) else ""
    found = get_close_matches(asked[:MOST_SHOWN], plain, 1, 0.6)
    return f" (did you mean {plain[found[0]]}?)" if found else ""


def cut(text: str, length: int) -> str:
    """Return at most `length` characters of a text, with dots where more were there."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def article(noun: str) -> str:
    """Return the noun with "a" or "an" before it."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, that of the host or of a device."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, OSError | RuntimeError) and any(words in text for words in OUT_OF_MEMORY)


OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
"""What torch, its allocators and the operating system write when there is none left."""


def describe_error(error: BaseException, length: int | None = 300) -> str:
    """Return the kind and text of somebody else's error as one sentence without its end.

    At most `length` characters of the text are told. A tensor with NaN that torch refuses is told as NaN.
    """
    text = " ".join(str(error).split())
    before, found, values = text.partition("found invalid values: ")
    if found and "nan" in values:
        text = before + found + "NaN"
    text = re.sub(r"[.?!] (?=[A-Z])", "; ", re.sub(r"\. (?=\()", " ", text))
    return f"{type(error).__name__}: {text[:length]}".rstrip(".?!: ")


@contextmanager
def raised_by(name: str, method: str) -> Iterator[None]:
    """Turn what somebody else's class raises into a `ProgramError` that names the class and the method to correct.

    Errors of this library pass as they are.
    """
    try:
        yield
    except GioError:
        raise
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"Expected {method} of {name} to run, but it raised {describe_error(error)}; correct its method {method}."
        ) from error
