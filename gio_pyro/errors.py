"""What can go wrong, by name.

Every error of this library derives from `GioError`, and its text is one sentence: what was expected, what was
got, what to do next. The command line prints that sentence and nothing else.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class GioError(Exception):
    """Base of every error raised on purpose by gio_pyro."""


class InputError(GioError, ValueError):
    """An argument, an environment or a table that cannot be used as it is."""


class MixedTerminationError(InputError):
    """A transition table that enters a state both with and without termination: no table of values can say that."""


class ProgramError(GioError):
    """A program of somebody's own that breaks its contract or raises: a model or guide, a signal, an explorer."""


class TrainingError(GioError):
    """Learning cannot go on: a loss, a reward or an observation is NaN or infinite."""


class CheckpointError(GioError):
    """A file that is not a whole checkpoint of this library."""


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


def require_at_least_one(name: str, number: object) -> None:
    """Raise `InputError`, naming it, for what is no whole number of at least 1."""
    if not isinstance(number, int) or number < 1:
        raise InputError(f"Expected {name} to be a whole number of at least 1, but got {number!r}.")


def told(error: BaseException, length: int | None = 300) -> str:
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
            f"Expected {method} of {name} to run, but it raised {told(error)}; correct its method {method}."
        ) from error
