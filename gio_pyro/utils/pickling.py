"""Pickle agents and rewards for other processes: multiprocessing, joblib, Ray, hyperparameter search.

An object is pickled as a whole by cloudpickle, a dependency of Gymnasium, so that programs defined in notebooks or
files, lambdas and the environment are included. As with any pickle, only load bytes that you trust; use `GIO.save` to
share an agent.
"""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from gio_pyro.errors import GioError, InputError, describe_error
from gio_pyro.utils.randomness import PROCESS_LOCK

USER_MODULE_PREFIX = "gio_pyro_user_"
"""Prefix of modules loaded from the user's files, which other processes cannot import."""
CLASS_ATTRIBUTES = "class_attributes"
_PICKLING_PARTS: ContextVar[bool] = ContextVar("inside", default=False)


class Picklable:
    """Base of classes pickled as a whole, references shared by their parts included, between two training rounds."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Return the pickled object; parts of an object that is being pickled use the default protocol.

        Raises:
            InputError: a part of it cannot be pickled.
        """
        if _PICKLING_PARTS.get():
            return super().__reduce_ex__(protocol)
        return pickle.loads, (_pickle_whole(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        with PROCESS_LOCK:
            made = object.__new__(type(self))
            memo[id(self)] = made
            state: Any = copy.deepcopy(self.__getstate__(), memo)
            set_state = getattr(made, "__setstate__", vars(made).update)
            set_state(state)
            return made


def _pickle_whole(whole: Picklable) -> bytes:
    with PROCESS_LOCK, _pickling_parts(), _user_modules_by_value():
        try:
            return _dumps(whole)
        except Exception as error:
            raise _pickle_error(whole, error) from error


def _dumps(thing: Any) -> bytes:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Also pickles wrappers of Stable-Baselines3, which store all attributes of their class in each instance."""

        def reducer_override(self, obj: Any) -> Any:
            state = getattr(obj, "__dict__", {})
            if not isinstance(obj, type) and CLASS_ATTRIBUTES in state and "venv" in state:
                own = {name: value for name, value in state.items() if name != CLASS_ATTRIBUTES}
                return object.__new__, (type(obj),), own, None, None, _restore_wrapper
            return super().reducer_override(obj)

    content = io.BytesIO()
    Pickler(content).dump(thing)
    return content.getvalue()


def _restore_wrapper(wrapper: Any, state: dict[str, Any]) -> None:
    vars(wrapper).update(state | {CLASS_ATTRIBUTES: dict(inspect.getmembers(type(wrapper)))})


@contextmanager
def _pickling_parts() -> Iterator[None]:
    before = _PICKLING_PARTS.set(True)
    try:
        yield
    finally:
        _PICKLING_PARTS.reset(before)


@contextmanager
def _user_modules_by_value() -> Iterator[None]:
    """Pickle classes of modules loaded from the user's files by value."""
    import cloudpickle

    theirs = [module for name, module in list(sys.modules.items()) if name.startswith(USER_MODULE_PREFIX)]
    for module in theirs:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in theirs:
            cloudpickle.unregister_pickle_by_value(module)


def _pickle_error(whole: Picklable, error: Exception) -> GioError:
    """Return an error that names the part that cannot be pickled."""
    for name, part in vars(whole).items():
        try:
            _dumps(part)
        except Exception as its:
            what, error = f"{name} of {type(whole).__name__}", its
            break
    else:
        what = type(whole).__name__
    advice = "make its environment or program picklable (no locks, files or processes in it)"
    return InputError(f"Expected {what} to be picklable, but it raised {describe_error(error, 100)}; {advice}.")
