"""From a name to the program or class that it names: of this library, of an installed package, or in a file."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gio_pyro.errors import ProgramError, article, closest, describe_error, listed, shown
from gio_pyro.types import PyroProgram

HOMES = {
    "model": "gio_pyro.models",
    "guide": "gio_pyro.guides",
    "future": "gio_pyro.futures",
    "world_model": "gio_pyro.models",
    "filter": "gio_pyro.guides",
}


def resolve(name: str | PyroProgram, kind: str) -> PyroProgram:
    """Return the program that a name refers to, or the program itself.

    Args:
        name: `Name` (one of `gio_pyro.models` or `gio_pyro.guides`), `package.module:Name` or `path/file.py:Name`.
        kind: `"model"` or `"guide"`, which selects the package of bare names.

    Raises:
        ProgramError: no such file, module or name; or the file fails when it is imported.
    """
    if not isinstance(name, str):
        if not callable(name):
            what = article(kind.replace("_", " "))
            raise ProgramError(f"Expected {what}: a name, a class or a callable, but got {shown(name)}.")
        return name
    program: PyroProgram = load_named(name, kind)
    if not callable(program):
        raise ProgramError(f"Expected {name} to be a class or callable, but got {article(type(program).__name__)}.")
    return program


def load_named(name: str, kind: str) -> Any:
    """Return the object that `Name`, `package.module:Name` or `path/file.py:Name` refers to; see `resolve`."""
    what, (module_name, _, attribute) = article(kind.replace("_", " ")), name.rpartition(":")
    if not module_name and name.endswith(".py"):
        raise ProgramError(f"Expected {what} in a file as file.py:Name, but got {name!r}; say which as {name}:Name.")
    if not attribute or (not module_name and kind not in HOMES):
        raise ProgramError(
            f"Expected {what} as package.module:Name or file.py:Name, but got {shown(name)}; name both parts."
        )
    module = _import(module_name or HOMES[kind], name)
    if not hasattr(module, attribute):
        names = sorted(getattr(module, "__all__", _own_names(module)))
        known = (listed(names) or "nothing that could be one") + closest(attribute, names)
        raise ProgramError(
            f"Expected {what} named {shown(attribute)} in {module_name or HOMES[kind]}, which has: {known}."
        )
    return getattr(module, attribute)


def _own_names(module: ModuleType) -> list[str]:
    """Return the classes and functions that a module defines, without those it imports."""
    public = {name: value for name, value in vars(module).items() if name[0] != "_" and callable(value)}
    return [name for name, value in public.items() if getattr(value, "__module__", None) == module.__name__]


def _import(place: str, name: str) -> ModuleType:
    if place.endswith(".py") and not Path(place).is_file():
        raise ProgramError(f"Expected a Python file at {place}, but there is none; check the path.")
    try:
        return _import_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ModuleNotFoundError as error:
        if place.endswith(".py") or not f"{place}.".startswith(f"{error.name}."):  # what it imports is missing
            raise ProgramError(
                f"Expected {place} to import, but it raised {describe_error(error, 120)}; install that "
                "package, or correct the import."
            ) from error
        file = Path(f"{place.replace('.', '/')}.py")
        hint = f"a file is named {file}:{name.rpartition(':')[2]}" if file.is_file() else "check the spelling"
        raise ProgramError(f"Expected {name} to name a program, but {error}; {hint}.") from error
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"Expected {place} to import, but it raised {describe_error(error, 120)}; run it on its own."
        ) from error


def _import_file(path: Path) -> ModuleType:
    """Import a file; it is executed once per path and content."""
    path = path.resolve()
    text = path.read_bytes()
    title = f"gio_pyro_user_{path.stem}_{hashlib.sha256(bytes(path) + text).hexdigest()[:16]}"
    if title in sys.modules:
        return sys.modules[title]
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module
    try:
        # not a cached .pyc, which may be of an older text of the same second
        exec(compile(text, path, "exec"), vars(module))
    except BaseException:
        del sys.modules[title]
        raise
    return module


def reference(program: Any) -> str:
    """Return `package.module:Name` of a program's class or function, for checkpoints."""
    owner = program if hasattr(program, "__qualname__") and hasattr(program, "__module__") else type(program)
    return f"{owner.__module__}:{owner.__qualname__}"
