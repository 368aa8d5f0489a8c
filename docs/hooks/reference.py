"""The reference, from the docstrings: a page for each public module, an entry for each name in its `__all__`."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = "reference"
TITLES = {
    "gio_pyro": "The agent and its settings",
    "gio_pyro.callbacks": "Callbacks",
    "gio_pyro.models": "Models",
    "gio_pyro.guides": "Guides",
    "gio_pyro.futures": "Futures",
    "gio_pyro.signals": "Signals",
    "gio_pyro.explorers": "Explorers",
    "gio_pyro.planning": "Planners",
    "gio_pyro.recipes": "Recipes",
    "gio_pyro.diagnostics": "Diagnostics",
    "gio_pyro.testing": "Testing programs",
    "gio_pyro.tabular": "The exact tier",
    "gio_pyro.empowerment": "Empowerment",
    "gio_pyro.envs": "Example worlds",
    "gio_pyro.adapters.gymnasium": "Adapters for Gymnasium",
    "gio_pyro.adapters.stable_baselines": "Adapters for Stable-Baselines3",
    "gio_pyro.inference": "Objectives and inference",
    "gio_pyro.programs": "The contract of programs",
    "gio_pyro.nn": "Parts of networks",
    "gio_pyro.errors": "Errors and warnings",
}
"""Every public module and the title of its page, in the order of the navigation."""


def on_config(config: Any) -> Any:
    """Put the reference into the navigation, before the pages on the project."""
    config["nav"].insert(-1, {"Reference": [{title: page_of(module)} for module, title in TITLES.items()]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages."""
    from mkdocs.structure.files import File

    for module, title in TITLES.items():
        files.append(File.generated(config, page_of(module), content=text_of(module, title)))
    return files


def on_post_build(config: Any) -> None:
    """Fail where a public name has no entry in the pages that were built."""
    for module in TITLES:
        page = (Path(config["site_dir"]) / page_of(module)).with_suffix(".html").read_text("utf-8")
        missing = [name for name in entries(module) if f'id="{path_of(module, name)}"' not in page]
        if missing:
            raise SystemExit(f"Expected entries of {module} for {', '.join(missing)}, but the page has none.")


def page_of(module: str) -> str:
    """Return the path of a module's page."""
    return f"{FOLDER}/{module.removeprefix('gio_pyro.').replace('.', '_')}.md"


def text_of(module: str, title: str) -> str:
    """Return the page of a module: what it says of itself, then its names."""
    head = f"# {title}\n\n::: {module}\n    options: {{members: false, show_root_heading: false}}\n"
    return head + "".join(f"\n::: {path_of(module, name)}\n" for name in entries(module))


def path_of(module: str, name: str) -> str:
    """Return the path of a public name: of a function in a module of the same name, that of the function."""
    package = source(module).parent
    same = source(module).name == "__init__.py" and (package / f"{name}.py").exists()
    return f"{module}.{name}.{name}" if same else f"{module}.{name}"


def entries(module: str) -> list[str]:
    """Return the public names of a module but its submodules, which have pages of their own."""
    return [name for name in public(module) if not any(f"{title}.".startswith(f"{module}.{name}.") for title in TITLES)]


def public(module: str) -> list[str]:
    """Return the public names of a module, read from its stub, else `__all__`, else its classes and functions."""
    stub = source(module).with_suffix(".pyi")
    if stub.exists():
        return list(imported(ast.parse(stub.read_text("utf-8"))))
    tree = ast.parse(source(module).read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    defined = (node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))
    return [name for name in defined if not name.startswith("_")]


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a stub re-exports or declares."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname for alias in node.names if alias.asname)
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target)


def source(module: str) -> Path:
    """Return the file of a module."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
