"""The house as it is laid out: what imports what, what an import does, and how long things are."""

import ast
import glob
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import gio_pyro
import gio_pyro.guides
import gio_pyro.models

ENGINE = Path(gio_pyro.__file__).resolve().parent
ROOT = ENGINE.parent
PROGRAMS = {
    "gio_pyro.models": Path(gio_pyro.models.__file__).resolve().parent,
    "gio_pyro.guides": Path(gio_pyro.guides.__file__).resolve().parent,
}

ORDER = [
    ["errors"],
    ["distributions", "nn", "utils"],
    ["types"],
    ["programs", "tabular", "schedules"],
    ["futures", "settings", "envs", "recipes"],
    ["inference", "collection"],
    ["data"],
    ["empowerment", "actor_critic", "beliefs"],
    ["signals"],
    ["explorers", "dreaming", "planning"],
    ["checkpointing"],
    ["callbacks"],
    ["agent"],
    ["diagnostics", "testing", "adapters"],
    ["plotting"],
    ["sweep"],
    ["cli", "__main__"],
]
"""Left never imports right; a room may import its neighbours in the same group."""
NOUNS = ("types", "errors", "nn", "distributions")
"""What programs may import of the engine."""


def files(folder: Path) -> Iterator[Path]:
    """Every Python file of a package, links to other folders left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not (Path(place) / f).is_symlink() and f != "__pycache__"]
        if folder == ENGINE and Path(place) == ENGINE:
            folders[:] = [f for f in folders if f not in ("models", "guides")]
        yield from (Path(place) / name for name in sorted(names) if name.endswith(".py"))


def sources() -> dict[str, Path]:
    """The dotted name of every module and its file."""
    found = {}
    for package, folder in {"gio_pyro": ENGINE, **PROGRAMS}.items():
        for path in files(folder):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(p for p in parts if p != "__init__")])] = path
    return found


SOURCES = sources()


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(node: ast.AST, *, into_functions: bool, for_types: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run: at module level, or anywhere; those for type checkers never run."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child) and not for_types:
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        if into_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from walk(child, into_functions=into_functions, for_types=for_types)


@cache
def imports(module: str, *, into_functions: bool = True, for_types: bool = False) -> set[str]:
    """The modules that a module imports; `from package import name` gives `package.name` where that is a module."""
    path = SOURCES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in walk(ast.parse(path.read_text()), into_functions=into_functions, for_types=for_types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        name = "." * node.level + (node.module or "")
        base = importlib.util.resolve_name(name, package) if node.level else name
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            found.add(submodule if submodule in SOURCES else base)
    return found


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def rank(module: str) -> int:
    return next(i for i, group in enumerate(ORDER) if room(module) in group)


ENGINE_MODULES = sorted(m for m in SOURCES if not any(inside(m, p) for p in PROGRAMS))
PROGRAM_MODULES = sorted(m for m in SOURCES if any(inside(m, p) for p in PROGRAMS))


def test_the_walk_sees_the_house():
    assert len(ENGINE_MODULES) > 20
    assert {"gio_pyro.models.categorical", "gio_pyro.guides.bayes"} <= set(PROGRAM_MODULES)
    assert "gio_pyro.errors" in imports("gio_pyro.data.replay_buffer")


def test_the_engine_imports_no_concrete_program():
    engine = [m for m in ENGINE_MODULES if not inside(m, "gio_pyro.cli")]
    assert not [(m, name) for m in engine for name in imports(m) if any(inside(name, p) for p in PROGRAMS)]


@pytest.mark.parametrize("own", PROGRAMS)
def test_programs_import_only_the_nouns_and_the_libraries(own: str):
    libraries = {"torch", "pyro", "gymnasium", *sys.stdlib_module_names}
    others = {(m, name) for m in PROGRAM_MODULES if inside(m, own) for name in imports(m) if not inside(name, own)}
    assert not [(m, n) for m, n in others if room(n) not in NOUNS and n.partition(".")[0] not in libraries]


def test_every_room_has_its_place_in_the_order():
    assert sorted({room(m) for m in ENGINE_MODULES} - {""}) == sorted(name for group in ORDER for name in group)


def test_left_never_imports_right():
    pairs = [(m, name) for m in ENGINE_MODULES if room(m) for name in imports(m) if inside(name, "gio_pyro")]
    known = [(m, name) for m, name in pairs if room(name) and not any(inside(name, p) for p in PROGRAMS)]
    assert not [f"{m} imports {name}" for m, name in known if rank(name) > rank(m)]


def arrows() -> set[tuple[str, str]]:
    """Who imports whom among the rooms, the folders and loose modules at the top; imports for type checkers too."""
    found = set()
    for module in SOURCES:
        for name in imports(module, for_types=True):
            pair = room(module) or "gio_pyro", room(name) or "gio_pyro"
            if inside(name, "gio_pyro") and pair[0] != pair[1]:
                found.add(pair)
    return found


def test_the_house_is_small():
    rooms = {room(module) for module in SOURCES} - {""}
    loose = {room(module) for module, path in SOURCES.items() if path.parent == ENGINE} - {""}
    print(f"{len(rooms)} rooms, {len(loose)} loose modules, {len(arrows())} arrows")
    assert len(rooms) <= 35
    assert len(loose) <= 8
    assert len(arrows()) <= 175


def test_type_checkers_see_the_names_that_the_package_exports():
    stub = ast.parse((ENGINE / "__init__.pyi").read_text())
    declared = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert {*declared, "__version__"} == {*gio_pyro.__all__}


def test_only_the_top_module_is_imported_as_a_whole_by_nobody_inside():
    whole = [m for m in ENGINE_MODULES if "gio_pyro" in imports(m) and not inside(m, "gio_pyro.cli")]
    assert whole == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {m: {n for n in imports(m, for_types=True) if n in SOURCES and n != m} for m in SOURCES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


PROBE = """
import json, random, sys, warnings
import gymnasium, numpy, pyro, pyro.poutine, torch, tqdm
from torch.distributions import Distribution


def now():
    return {
        "dtype": str(torch.get_default_dtype()),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch random": torch.get_rng_state().tolist(),
        "python random": str(random.getstate()),
        "numpy random": str(numpy.random.get_state()),
        "pyro settings": {k: str(v) for k, v in pyro.settings.get().items()},
        "store": sorted(pyro.get_param_store().keys()),
        "validation": str(Distribution._validate_args) + str(pyro.poutine.util.is_validation_enabled()),
        "warnings": [str(f) for f in warnings.filters],
        "environments": sorted(gymnasium.registry),
        "hooks": [str(sys.excepthook), str(sys.displayhook)],
    }


before = now()
import gio_pyro
after = now()
changed = [name for name in before if before[name] != after[name]]
heavy = [m for m in ("matplotlib.pyplot", "arviz", "tyro", "tensorboard", "gio_pyro.cli") if m in sys.modules]
print(json.dumps({"changed": changed, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def probe() -> dict[str, list[str]]:
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_importing_the_library_changes_no_global_setting(probe: dict[str, list[str]]):
    assert probe["changed"] == []


def test_importing_the_library_does_not_import_what_only_some_need(probe: dict[str, list[str]]):
    assert probe["heavy"] == []


LOADED = """
import json, sys
import torch, pyro
before = set(sys.modules)
import gio_pyro
print(json.dumps(sorted(set(sys.modules) - before)))
from gio_pyro import GIO
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_importing_the_library_takes_little_more_than_torch_and_pyro():
    """Counted in modules, which time depends on and machines do not."""
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    package, agent = map(json.loads, run.stdout.splitlines())
    assert package == ["gio_pyro"]
    assert len(agent) <= 320, "take what only some need inside the functions that need it"
    others = {name.partition(".")[0] for name in agent if "cython" not in name} - {*sys.stdlib_module_names}
    assert others <= {"gio_pyro", "gymnasium", "farama_notifications", "numpy"}
    assert not [name for name in agent if name.startswith(("torch._inductor", "torch._dynamo"))]


def lengths_of_files() -> list[int]:
    return [len(path.read_text().splitlines()) for path in SOURCES.values()]


def lengths_of_functions() -> list[int]:
    """Lines of each function's body, its docstring left out."""
    lengths = []
    for path in SOURCES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lengths.append(body[-1].end_lineno - body[0].lineno + 1 if body else 0)
    return lengths


def test_the_median_file_is_at_most_200_lines():
    assert statistics.median(lengths_of_files()) <= 200


def test_the_median_function_is_at_most_10_lines():
    assert statistics.median(lengths_of_functions()) <= 10


def test_nine_functions_in_ten_are_at_most_35_lines():
    assert statistics.quantiles(lengths_of_functions(), n=10)[-1] <= 35


def test_every_package_of_the_house_goes_into_a_wheel():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = glob.glob("gio_pyro/**/__init__.py", root_dir=ROOT, recursive=True)  # goes into linked folders too
    there = {".".join(Path(file).parent.parts) for file in found}
    assert set(declared) == there


APART = {"examples", "fuzz"}
"""Folders of tests of no package: the scripts and notebooks, and every public function called with mistakes."""
WHOLE = {
    "architecture", "cuda", "deep_agent", "docs", "extremes", "learning", "methods", "mirl", "own_classes", "sharing",
    "stable_baselines", "synchronisation",
}  # fmt: skip
"""Modules of tests of the agent as a whole, or of the repository."""


def test_the_tree_of_tests_is_that_of_the_code():
    tests = Path(__file__).parent
    packages = {room(module) for module, path in SOURCES.items() if path.name == "__init__.py"} - {""}
    assert {path.parent.name for path in tests.glob("*/__init__.py")} - APART == packages
    modules = {room(module) for module in SOURCES} - packages
    assert {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")} - WHOLE <= modules
