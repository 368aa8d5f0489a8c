"""One call with one bad value: what is wrong about how it ends."""

import contextlib
import dataclasses
import inspect
import io
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from gio_pyro.errors import GioError

from .values import BAD

SECONDS = 2.0
"""That any call may take."""
BYTES = 3 * 2**30
"""Of address space that all calls together may take on top of what there is."""
LONGEST = 300
"""Characters of an error."""

Call = tuple[Callable[..., Any], dict[str, Any]]


class TooSlow(BaseException):
    """Time is up; no `except Exception` stops it."""


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` in whatever takes longer."""

    def stop(*given: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """Refuse allocations that a mistake should not lead to (Linux)."""
    if sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def verdict(build: Callable[[], Call], name: str, value: Any) -> str | None:
    """Return what is wrong about a call with a bad value in the place of one argument, or None."""
    function, arguments = build()
    try:
        with bounded(SECONDS), warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            found = function(**{**arguments, name: value})
            if isinstance(found, Iterator):
                list(found)
    except GioError as error:
        return flaw(str(error))
    except TooSlow:
        return f"takes longer than {SECONDS} s"
    except BaseException as error:
        if name in ("callback", "stop") and isinstance(
            error, KeyError
        ):  # the user's own error, out of the user's own function
            return None
        return f"raises {type(error).__name__}: {str(error)[:150]}"
    return None


def flaw(text: str) -> str | None:
    """Return what is wrong with the sentence of an error, or None."""
    if len(text) > LONGEST:
        return f"says {len(text)} characters: {text[:150]}"
    if "\n" in text:
        return f"says several lines: {text[:150]}"
    if not text.startswith("Expected"):
        return f"does not begin with Expected: {text[:150]}"
    if re.search(r"\b(tensor|array)\(", text) or " object at 0x" in text:
        return f"shows a representation: {text[:200]}"
    return None


CALLS_OF = dict[str, Callable[[], Call]]
"""A valid call by the name of what is called."""


def public(module: ModuleType) -> list[str]:
    """Return the names of the functions and classes that a package offers; protocols and aliases are no functions."""
    offered = {name: getattr(module, name) for name in module.__all__}
    return [
        name
        for name, value in offered.items()
        if inspect.isfunction(value) or (inspect.isclass(value) and not _cannot_be_built(value))
    ]


def _cannot_be_built(kind: type) -> bool:
    """Whether a class is a protocol, an abstract one, or a record of fields that nothing is asked of."""
    record = dataclasses.is_dataclass(kind) and not hasattr(kind, "__post_init__") and kind.__name__ in RECORDS
    return inspect.isabstract(kind) or getattr(kind, "_is_protocol", False) or record


RECORDS = (
    "BeliefTree", "Bounds", "Capacity", "Filtered", "Fitted", "Imitation", "Kalman", "KalmanSmoothed", "LQG",
    "Outcomes", "Plan", "Smoothed", "Solution", "Source",
)  # fmt: skip
"""What functions return or pass on; none checks its fields, those who read them do."""


def trials(calls: CALLS_OF, share: int) -> Iterator[str]:
    """Yield what is wrong about one in `share` of all calls with a bad value, always the same ones."""
    number = 0
    for name, build in calls.items():
        for argument in build()[1]:
            for kind, make in BAD.items():
                number += 1
                if number % share == 0 and (found := verdict(build, argument, make())) is not None:
                    yield f"{name}({argument}={kind}) {found}"
