"""Deep-copy an environment in its current state: attributes, wrappers and their running statistics.

Each wrapper is copied attribute by attribute. `copy.deepcopy` would not do: with `gymnasium.utils.EzPickle` it returns
a new environment made from the original arguments. Attributes that cannot be copied, such as locks, windows or
simulators in C, are taken from a remade environment if it has the same ones, after a reset where need be; the copy is
reset before use.
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
"""Construction arguments, which never change and are shared."""
CODE_TYPES = (type, ModuleType, FunctionType, BuiltinFunctionType)
MAX_OBJECTS = 1_000_000
"""Number of objects searched for a finaliser, at most."""
MAX_DEPTH = 3
"""Depth of nested objects up to which uncopyable attributes are replaced one by one."""


class CannotCopy(Exception):  # noqa: N818
    """The attribute that cannot be copied, as `Class.attribute`; always caught in this package."""


def copy_layers(env: Any, remake: Callable[[Any], Any]) -> Any:
    """Return a copy of an environment or vector, without wrappers that display or record.

    Args:
        env: the environment; not changed.
        remake: remakes the innermost environment; called only if an attribute cannot be copied.

    Raises:
        CannotCopy: an attribute cannot be copied, and the remade environment does not have the same one.
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
            _take_from_remade(missing, each, remake, memo)
    copied = memo[id(env)]
    for layer in all_layers(copied):
        if vars(layer).get("render_mode") == "human":  # copies open no window
            vars(layer)["render_mode"] = None
    return copied


def _copy_attributes(source: Any, target: Any, memo: Memo) -> Iterator[str]:
    """Copy the attributes of an object; yields the names of those that cannot be copied."""
    for name, value in list(vars(source).items()):
        try:
            vars(target)[name] = value if name in SHARED_ATTRIBUTES else copy_value(value, memo)
        except Exception:  # any class may raise anything
            yield name


def copy_value(value: Any, memo: Memo) -> Any:
    """Return a deep copy of a value; raises if it cannot be copied."""
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
    """Return a copy of a function that refers to the copied environment instead of the original.

    Outer variables that the function assigns to are copied, too; those that it only reads are shared.
    """
    code, cells = function.__code__, function.__closure__ or ()
    assigned = {step.argval for step in get_instructions(code) if step.opname in ("STORE_DEREF", "STORE_GLOBAL")}
    memo[id(function)] = function  # a recursive function
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
    copied = FunctionType(code, names, function.__name__, function.__defaults__, tuple(inner))
    copied.__kwdefaults__, copied.__qualname__ = function.__kwdefaults__, function.__qualname__
    memo[id(function)] = copied
    return copied


def _refers_to_copied(value: Any, memo: Memo) -> bool:
    """Whether a variable is the environment, a method of it, or a function that refers to it."""
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
    """Whether a value holds an object with `__del__`: its copy would release the same resource a second time."""
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


def _take_from_remade(missing: list[tuple[Any, str]], old: list[Any], remake: Callable[[Any], Any], memo: Memo) -> None:
    """Replace attributes that cannot be copied by those of a remade environment, matching wrappers from the inside."""
    first, name = missing[0]
    new = remake(old[-1])
    if new is None:
        raise CannotCopy(f"{type(first).__name__}.{name}")
    chains = [
        [layer for layer in reversed(each) if not is_display_wrapper(layer)] for each in (old, wrapper_chain(new))
    ]
    counterparts = {id(one): other for one, other in zip(*chains, strict=False) if type(one) is type(other)}
    if any(name not in vars(counterparts.get(id(layer), layer)) for layer, name in missing):
        _reset(chains[1][0], f"{type(first).__name__}.{name}")
    target: Any
    for layer, name in missing:
        where = f"{type(layer).__name__}.{name}"
        remade = vars(counterparts[id(layer)]) if id(layer) in counterparts else {}
        if name not in remade:
            raise CannotCopy(where)
        target = vars(memo[id(layer)])
        target[name] = _replacement(vars(layer)[name], remade[name], where, memo, MAX_DEPTH)


def _reset(base: Any, where: str) -> None:
    """Reset the innermost remade environment: some have attributes only then, as the bodies of Box2D."""
    try:
        base.reset()
    except Exception as error:  # the class is the environment's own
        raise CannotCopy(where) from error


def _replacement(value: Any, new: Any, where: str, memo: Memo, depth: int) -> Any:
    """Return the replacement of a value that cannot be copied, with those parts of the old value that can be."""
    if new is None:
        return None
    if type(new) is not type(value):
        raise CannotCopy(where)
    if depth and hasattr(new, "__dict__"):
        memo[id(value)] = new
        remade: Any = vars(new)
        for name in list(_copy_attributes(value, new, memo)):
            if name not in remade:
                raise CannotCopy(f"{where}.{name}")
            remade[name] = _replacement(vars(value)[name], remade[name], f"{where}.{name}", memo, depth - 1)
    return new
