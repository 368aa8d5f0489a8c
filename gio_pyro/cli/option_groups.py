"""Groups of options, which the help shows under a heading each: those of `gio train` are generated from `Settings`."""

import ast
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass
from functools import cache
from inspect import Parameter, signature
from textwrap import dedent
from types import MappingProxyType
from typing import Annotated, Any, get_args

import tyro

from gio_pyro.cli.flag_types import flag_type
from gio_pyro.cli.options import TRAINING
from gio_pyro.errors import InputError
from gio_pyro.settings import ALIASES, CONTINUOUS, GROUPS, NETWORK, Settings

KINDS: Mapping[str, Mapping[str, Any]] = {"tables": {}, "networks": NETWORK, "continuous": CONTINUOUS}
"""Kinds of agent and the defaults in which each differs from `Settings`; the docstring of `gio train` explains them."""


def group(heading: str) -> tuple[Any, ...]:
    """Return the metadata of a parameter that holds a group of options of `gio train`, for `typing.Annotated`."""
    return _under(heading, _with_settings(heading))


def shared(heading: str, kind: type) -> tuple[Any, ...]:
    """Return the metadata of a parameter that holds options which several commands have."""
    return _under(heading, _documented(kind.__name__, kind, []))


def option_names(command: Callable[..., int]) -> list[str]:
    """Return the names of all options of a command, those in groups included; what has no flag is none."""
    names: list[str] = []
    for parameter in signature(command).parameters.values():
        if tyro.conf.Positional not in get_args(parameter.annotation):
            names += [option.name for kind in _kinds(parameter) for option in fields(kind)] or [parameter.name]
    return names


def grouped_options(command: Callable[..., int]) -> dict[str, Any]:
    """Return the defaults of all options of a command that are in groups, by name."""
    kinds = [kind for parameter in signature(command).parameters.values() for kind in _kinds(parameter)]
    return {option.name: option.default for kind in kinds for option in fields(kind)}


def _kinds(parameter: Parameter) -> list[type]:
    """Return the dataclasses of options that a parameter of a command stands for."""
    return [kind for kind in get_args(parameter.annotation)[1:] if isinstance(kind, type) and is_dataclass(kind)]


def given_settings(*groups: Any) -> dict[str, Any]:
    """Return the settings that differ from the defaults of their flags in some groups of options."""
    known = {option.name for option in fields(Settings)}
    return {
        option.name: getattr(options, option.name)
        for options in groups
        for option in fields(options)
        if option.name in known and getattr(options, option.name) != option.default
    }


def flag(name: str) -> str:
    """Return the flag of an option."""
    return "--env.NAME" if name == "env_arg" else f"--{name.replace('_', '-')}"


def require_one_name(arguments: Sequence[str]) -> None:
    """Raise `InputError` where a setting is given by both of its names, of which tyro would take the last."""
    given = {argument.partition("=")[0] for argument in arguments}
    for alias, name in ALIASES.items():
        if {flag(alias), flag(name)} <= given:
            raise InputError(f"Expected {flag(name)} or {flag(alias)}, which mean the same, but got both; give one.")


def _under(heading: str, kind: type) -> tuple[Any, ...]:
    return kind, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name=heading, constructor=kind)


def _with_settings(heading: str) -> type:
    """Return the options of a group: those of the command line alone, then one for each setting."""
    types = {option.name: option.type for option in fields(Settings)}
    documents = _field_docstrings(Settings)
    settings = []
    for name in GROUPS[heading]:
        aliases = [flag(alias) for alias, own in ALIASES.items() if own == name]
        shown = tyro.conf.arg(help=_help(documents[name]), help_behavior_hint=_default(name), aliases=aliases)
        default = False if types[name] is bool else None
        settings.append((name, Annotated[flag_type(types[name]), shown], field(default=default)))
    return _documented(heading, TRAINING[heading], settings)


def _documented(name: str, kind: type, settings: list[Any]) -> type:
    """Return a dataclass with the options of `kind`, helped by the docstrings of its fields, and some settings."""
    documents = _field_docstrings(kind)
    own = []
    for option in fields(kind):
        kind_of_flag: Any = option.type
        if option.name in documents:
            kind_of_flag = Annotated[kind_of_flag, tyro.conf.arg(help=_help(documents[option.name]))]
        own.append((option.name, kind_of_flag, field(default=option.default)))
    return make_dataclass(name, own + settings, bases=(kind,), frozen=True, namespace={"__doc__": kind.__doc__})


@cache
def _field_docstrings(kind: type) -> Mapping[str, str]:
    """Return the string literals below the fields of a dataclass, by name; its source is parsed once."""
    (body,) = ast.parse(dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, below in zip(body.body, body.body[1:], strict=False):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = text
    return MappingProxyType(found)


def _help(docstring: str) -> str:
    """Return a field's docstring as one paragraph, with flags in place of the names of settings."""
    known = {option.name for option in fields(Settings)}

    def unquoted(found: re.Match[str]) -> str:
        before, name = found.groups(default="")
        return flag(name) if name in known and not before else f"{before}{name}"

    return re.sub(r"(attribute )?`([^`]+)`", unquoted, " ".join(docstring.replace(" (None)", "").split()))


def _default(name: str) -> str:
    """Return a setting's default in brackets, for each kind of agent where they differ; None is left to the help."""
    kinds: dict[Any, list[str]] = {}
    for kind, differing in KINDS.items():
        kinds.setdefault(differing.get(name, getattr(Settings, name)), []).append(kind)
    shown = [(_text(value), " and ".join(named)) for value, named in kinds.items() if value is not None]
    if len(kinds) == 1:
        return f"(default: {shown[0][0]})" if shown else ""
    return f"(default: {', '.join(f'{value} ({named})' for value, named in shown)})"


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
