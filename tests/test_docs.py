"""What the documentation shows: every code block runs as pasted, links lead somewhere, lists are complete."""

import ast
import importlib
import importlib.util
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import pytest

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro import guides, models
from gio_pyro.cli import training
from gio_pyro.cli.main import entry_point
from tests.agents import differences

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
OWN = ROOT / "examples" / "my_programs.py"
SHELL = {"gio", "pip", "pytest", "python", "python3", "pre-commit", "bash", "mkdocs", "jupyter", "docker", "git", "."}


def blocks(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def with_blocks(language: str) -> list[str]:
    return [page for page in PAGES if blocks(page, language)]


def parameters(language: str) -> list[Any]:
    """The pages with such blocks; those that train many agents are slow."""
    slow = {"README.md", "docs/tutorial.md", "docs/how_to.md", "docs/worlds.md"}
    return [pytest.param(p, marks=pytest.mark.slow if p in slow else ()) for p in with_blocks(language)]


@pytest.fixture
def here(tmp_path, monkeypatch, uncompiled):
    """An empty folder, with nothing but the examples that pages name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "my_programs.py").write_text(OWN.read_text("utf-8"))
    return tmp_path


def quickly(page: str, code: str) -> str:
    """The same code with small networks, few updates and steps (`diagnose` needs 1,000), and no progress bar."""
    judged = any("diagnose(" in block for block in blocks(page))
    code = re.sub(r"\b\d+_000\b", "1_000" if judged else "300", code)
    code = code.replace("evaluate(100)", "evaluate(10)").replace("progress_bar=True", "progress_bar=False")
    return re.sub(r"(gio\.GIO\(.*)seed=0\)", r"\1seed=0, hidden=(8, 8), train_freq=50)", code)


@pytest.mark.parametrize("page", parameters("python"))
@pytest.mark.filterwarnings("ignore::gio_pyro.errors.GioWarning")  # learning is cut short
def test_the_code_of_a_page_runs_as_pasted_from_top_to_bottom(
    page: str, here: Path, capsys: pytest.CaptureFixture[str]
):
    names: dict[str, object] = {"__name__": "pasted"}
    for code in blocks(page):
        exec(compile(quickly(page, code), page, "exec"), names)


def commands(page: str) -> Iterator[list[str]]:
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            yield shlex.split(line, comments=True)


def briefly(words: list[str]) -> list[str]:
    """The arguments of a `gio` command with few steps and short episodes."""
    _, command, *rest = words
    if "--variational" in rest:  # half a minute with the fewest steps; tests/cli runs it
        return [command, *rest[: rest.index("--variational")]]
    if command == "sweep" and "--seeds" in rest:
        rest[rest.index("--seeds") + 1] = "0"
    if command not in ("train", "sweep"):
        return [command, *rest]
    if "--steps" in rest:
        rest[rest.index("--steps") + 1] = "60"
    else:
        rest += ["--steps", "60"]
    return [command, *rest, "--quiet", *([] if "--resume" in rest else ["--env.max_episode_steps=5"])]


FIRST = {tuple(words): page for page in reversed(with_blocks("sh")) for words in commands(page) if words}
"""The page on which each command is run."""


@pytest.mark.parametrize("page", parameters("sh"))
def test_the_commands_of_a_page_are_accepted(
    page: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The first run of a page draws its report; the others do without, which spares a second each."""
    for block in blocks(page, "sh"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    for words in filter(None, commands(page)):
        assert words[0] in SHELL, words
        if words[0] == "gio" and FIRST[tuple(words)] == page:
            status = entry_point(briefly(words))
            said = capsys.readouterr().err
            if words[1] == "train":
                monkeypatch.setattr(training, "_finish", lambda *_: None)
            assert status == 0 or "has learned from 1,000 steps at least" in said, (words, said)


def test_no_command_hides_in_an_indented_block():
    for page in PAGES:
        assert not re.findall(r"^    (?:gio|pip|python3?) .*$", (ROOT / page).read_text("utf-8"), re.M), page


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_the_programs_page_shows_the_example_file():
    source, page = OWN.read_text("utf-8"), (ROOT / "docs/programs.md").read_text("utf-8")
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert {node.name for node in classes} == {"MyModel", "MyGuide", "MyFuture", "MySignal"}
    for node in classes:
        assert ast.get_source_segment(source, node) in page, node.name


@pytest.mark.slow
def test_the_example_file_checks_its_programs(here: Path, capsys: pytest.CaptureFixture[str]):
    names: dict[str, object] = {"__name__": "my_programs", "__file__": str(here / "examples" / "my_programs.py")}
    exec(compile(OWN.read_text("utf-8"), str(OWN), "exec"), names)
    names["main"]()
    assert "All checks passed" in capsys.readouterr().out


@pytest.mark.slow
def test_a_guide_of_the_programs_page_in_a_file_is_compiled_saved_and_loaded_by_its_name(here: Path):
    first, _, continuous, *_ = blocks("docs/programs.md")
    (here / "mine.py").write_text(first + continuous)
    name = "mine.py:MyContinuousGuide"
    small = {"learning_starts": 20, "batch_size": 16, "hidden": (8,)}
    agents = [gio.GIO("Pendulum-v1", guide=name, compile=compiled, **small).learn(40) for compiled in (True, False)]
    assert differences(*agents, ignore=("/settings/compile", "/update")) == []
    agents[0].save("run")
    loaded = gio.GIO.load("run", guide=name)
    assert type(loaded.guide.program) is type(agents[0].guide.program)
    assert not differences(agents[0].learn(10), loaded.learn(10))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    text = (ROOT / page).read_text("utf-8")
    for target, anchor in re.findall(r'(?:\]\(|src=")(?!https?://)([^)#"]*)#?([^)"]*)', text):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


NUMBERS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (r"are (\w+)\s+models", len(models.__all__)),
        (r"and (\w+) guides,", len(guides.__all__)),
        (r"(\w+) notebooks, stored", len(list((ROOT / "examples").glob("*.ipynb")))),
    ],
)
def test_the_readme_counts_right(pattern: str, count: int):
    (found,) = re.findall(pattern, (ROOT / "README.md").read_text())
    assert found.lower() == NUMBERS[count]


def test_the_worlds_page_lists_every_world():
    listed = set(re.findall(r"^\| `(gio/[\w-]+)`", (ROOT / "docs/worlds.md").read_text("utf-8"), re.M))
    assert listed == {name for name in gymnasium.registry if name.startswith("gio/")}


@pytest.mark.parametrize("names", [models.__all__, guides.__all__], ids=["models", "guides"])
def test_the_programs_page_lists_every_program(names: list[str]):
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|.*", (ROOT / "docs/programs.md").read_text(), re.M))))
    assert set(names) <= listed


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "hooks" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_a_page_for_every_public_module_and_an_entry_for_every_name():
    pages = reference()
    assert not [name for name in gio.__all__ if not hasattr(gio, name)]
    modules = {name for name in gio.__all__ if isinstance(getattr(gio, name), ModuleType)}
    assert modules <= {title.split(".")[1] for title in pages.TITLES if "." in title}
    for module, title in pages.TITLES.items():
        found = importlib.import_module(module)
        names = set(getattr(found, "__all__", None) or pages.public(module)) - modules
        assert names, module
        assert names - set(pages.entries(module)) == set(), module
        text = pages.text_of(module, title)
        assert all(f"\n::: {pages.path_of(module, name)}\n" in text for name in names), module


def docstrings() -> Iterator[tuple[Path, str]]:
    """Every docstring of the library and of the scripts under examples."""
    for folder in ("gio_pyro", "models", "guides", "examples"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if (
                    isinstance(node, ast.Expr)
                    and isinstance(node.value, ast.Constant)
                    and isinstance(node.value.value, str)
                ):
                    yield path, node.value.value


THEORY = (ROOT / "docs/theory.md").read_text()
EQUATION = re.compile(r"\\tag\{(\d+)\}")
"""Where an equation is numbered."""
MENTION = re.compile(
    r"(?<!arXiv 1812.05905, )\bequations?\s+(\d+)(?:\s+(?:to|and)\s+(\d+))?|(?<![\w)\]}^|])\((\d{1,2})\)"
)
"""`equation 3`, `equations 4 to 6`, `(3)`; equations of other people's papers aside."""


def test_every_number_of_an_equation_stands_for_one():
    labels = [int(number) for number in EQUATION.findall(THEORY)]
    assert labels == list(range(1, len(labels) + 1))


def test_every_mention_of_an_equation_or_section_leads_to_one():
    equations, sections = set(EQUATION.findall(THEORY)), set(re.findall(r"^## (\d+)\. ", THEORY, re.M))
    mentioned = Counter()
    for path, text in [
        *docstrings(),
        *((ROOT / page, (ROOT / page).read_text("utf-8")) for page in PAGES),
    ]:
        for found in MENTION.findall(text):
            for number in filter(None, found):
                assert number in equations, f"{path}: equation {number}"
                mentioned[number] += 1
        for number in re.findall(r"[Tt]heory(?:\.md)?`?(?:\]\([^)]*\))?,\s+section\s+(\d+)(?![\d.]*\.\d)", text):
            assert number in sections, f"{path}: section {number}"
    assert mentioned["3"] > 10
