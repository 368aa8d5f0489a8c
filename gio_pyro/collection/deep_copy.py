"""A copy of an environment as it stands: its numbers, the statistics of its wrappers, whatever was set on it.

Each layer is copied attribute by attribute, so that no class can put something else in the place of its copy: what
`copy.deepcopy` makes of an environment with `gymnasium.utils.EzPickle` is a new one, of the arguments of the first.
What cannot be copied, a lock, a window, a simulator in C, is taken from an environment that was made again, where that
has the like of it; the copy is reset before it is played.
"""

import gc
from collections.abc import Callable, Iterator
from copy import deepcopy
from dis import get_instructions
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from gio_pyro.collection.wrappers import all_layers, is_display_wrapper, sub_envs, wrapped_env, wrapper_chain

Memo = dict[int, Any]

SHARED_ATTRIBUTES = (
    "spec",
    "_cached_spec",
    "_saved_kwargs",
    "_ezpickle_args",
    "_ezpickle_kwargs",
    "env_fns",
    "class_attributes",
)
"""How an environment was made: nobody changes these."""
CODE_TYPES = (type, ModuleType, FunctionType, BuiltinFunctionType)
MAX_OBJECTS = 1_000_000
"""Objects looked at, at most, for one that cannot be copied."""
MAX_DEPTH = 3
"""How many objects deep something that cannot be copied is looked for; around it, the rest is copied."""


class CannotCopy(Exception):  # noqa: N818
    """What cannot be copied, as `Class.attribute`; never leaves this room."""


def copy_layers(env: Any, again: Callable[[Any], Any]) -> Any:
    """Return a copy of an environment or of a vector, without what only shows or films it.

    Args:
        env: it is not changed.
        again: makes the innermost environment of a chain anew; called only where something cannot be copied.

    Raises:
        CannotCopy: something cannot be copied, and a new environment does not have the like of it.
    """
    every = all_layers(env)
    memo: Memo = {id(layer): object.__new__(type(layer)) for layer in every if not is_display_wrapper(layer)}
    for layer in reversed(every):
        if is_display_wrapper(layer):
            memo[id(layer)] = memo[id(wrapped_env(layer))]
    for each in [wrapper_chain(env), *map(wrapper_chain, sub_envs(env))]:
        missing = [
            (layer, name)
            for layer in each
            if not is_display_wrapper(layer)
            for name in _copy_attributes(layer, memo[id(layer)], memo)
        ]
        if missing:
            _take_from_remade(missing, each, again, memo)
    twin = memo[id(env)]
    for layer in all_layers(
        twin
    ):  # no window is opened: whoever wants to see an environment gives it one (environment=)
        if vars(layer).get("render_mode") == "human":
            vars(layer)["render_mode"] = None
    return twin


def _copy_attributes(source: Any, target: Any, memo: Memo) -> Iterator[str]:
    """Copy the attributes of an object; give the names of those that cannot be copied."""
    for name, value in list(vars(source).items()):
        try:
            vars(target)[name] = value if name in SHARED_ATTRIBUTES else copy_value(value, memo)
        except Exception:  # whatever the class of the value raises
            yield name


def copy_value(value: Any, memo: Memo) -> Any:
    """Return a copy of a value; raises where there is none."""
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, FunctionType):
        return _copy_function(value, memo)
    if type(value) in (list, tuple) and any(isinstance(item, FunctionType) for item in value):
        return type(value)(copy_value(item, memo) for item in value)
    if type(value) is dict and any(isinstance(item, FunctionType) for item in value.values()):
        return {key: copy_value(item, memo) for key, item in value.items()}
    if _has_finaliser(value, memo):
        raise TypeError
    return deepcopy(value, memo)


def _copy_function(function: FunctionType, memo: Memo) -> FunctionType:
    """Return a function that means the copied environment where this one means the environment.

    It has variables of its own where this one assigns to variables outside itself; what it only reads is shared.
    """
    code, cells = function.__code__, function.__closure__ or ()
    assigned = {step.argval for step in get_instructions(code) if step.opname in ("STORE_DEREF", "STORE_GLOBAL")}
    memo[id(function)] = function  # one that names itself
    own = {
        name: copy_value(value, memo)
        for name, value in ((name, function.__globals__.get(name)) for name in code.co_names)
        if name in assigned or _refers_to_copied(value, memo)
    }
    inner = [
        CellType(copy_value(cell.cell_contents, memo))
        if _cell_has_value(cell) and (name in assigned or _refers_to_copied(cell.cell_contents, memo))
        else cell
        for name, cell in zip(code.co_freevars, cells, strict=True)
    ]
    if not own and all(new is old for new, old in zip(inner, cells, strict=True)):
        return function
    names = function.__globals__ | own if own else function.__globals__
    twin = FunctionType(code, names, function.__name__, function.__defaults__, tuple(inner))
    twin.__kwdefaults__, twin.__qualname__ = function.__kwdefaults__, function.__qualname__
    memo[id(function)] = twin
    return twin


def _refers_to_copied(value: Any, memo: Memo) -> bool:
    """Whether a variable is the environment, a method of it, or a function that means it."""
    if isinstance(value, FunctionType):
        return copy_value(value, memo) is not value
    return id(value.__self__ if isinstance(value, MethodType) else value) in memo


def _cell_has_value(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _has_finaliser(value: Any, memo: Memo) -> bool:
    """Whether a value holds something that releases what it owns when it is deleted: a copy would do so too."""
    waiting, seen = [value], {id(value)}
    while waiting and len(seen) < MAX_OBJECTS:
        one = waiting.pop()
        if id(one) in memo or isinstance(one, CODE_TYPES):
            continue
        if hasattr(type(one), "__del__"):
            return True
        found = [item for item in gc.get_referents(one) if id(item) not in seen]
        seen.update(map(id, found))
        waiting += found
    return False


def _take_from_remade(missing: list[tuple[Any, str]], old: list[Any], again: Callable[[Any], Any], memo: Memo) -> None:
    """Put what a new environment has in the place of what cannot be copied; the chains meet at their inner ends."""
    first, name = missing[0]
    new = again(old[-1])
    if new is None:
        raise CannotCopy(f"{type(first).__name__}.{name}")
    pairs = zip(
        *([layer for layer in reversed(each) if not is_display_wrapper(layer)] for each in (old, wrapper_chain(new))),
        strict=False,
    )
    beside = {id(one): other for one, other in pairs if type(one) is type(other)}
    target: Any
    for layer, name in missing:
        where = f"{type(layer).__name__}.{name}"
        fresh = vars(beside[id(layer)]) if id(layer) in beside else {}
        if name not in fresh:
            raise CannotCopy(where)
        target = vars(memo[id(layer)])
        target[name] = _replacement(vars(layer)[name], fresh[name], where, memo, MAX_DEPTH)


def _replacement(value: Any, new: Any, where: str, memo: Memo, depth: int) -> Any:
    """Return the new value for one that cannot be copied, with the parts of the old one that can be."""
    if new is None:
        return None
    if type(new) is not type(value):
        raise CannotCopy(where)
    if depth and hasattr(new, "__dict__"):
        memo[id(value)] = new
        fresh: Any = vars(new)
        for name in list(_copy_attributes(value, new, memo)):
            if name not in fresh:
                raise CannotCopy(f"{where}.{name}")
            fresh[name] = _replacement(vars(value)[name], fresh[name], f"{where}.{name}", memo, depth - 1)
    return new
