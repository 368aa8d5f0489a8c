"""What the documentation shows, run as it stands."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import pytest
import torch

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro import guides, models
from tests.agents import differences
from tests.test_intrinsic_reward import samples

ROOT = Path(__file__).parents[1]


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_programs", None)


def quickly(code: str) -> str:
    """The same code with learning cut short and no bar."""
    return (
        code.replace("20_000", "500")
        .replace("40_000", "500")
        .replace("6_000", "500")
        .replace("progress_bar=True", "progress_bar=False")
    )


def test_the_programs_page_has_a_model_and_a_guide_that_pass_the_kit_and_learn(here):
    programs, use, *_ = blocks("docs/programs.md")
    (here / "my_programs.py").write_text(programs)
    names: dict[str, object] = {}
    exec(quickly(use), names)
    assert isinstance(names["agent"], gio.GIO)
    assert names["agent"].steps == 500


def test_the_programs_page_has_a_continuous_guide_that_passes_the_kit_and_learns(here):
    programs, _, continuous, _ = blocks("docs/programs.md")
    names: dict[str, object] = {}
    exec(programs + continuous, names)
    guide = names["MyContinuousGuide"]
    small = {"learning_starts": 100, "batch_size": 32, "hidden": (16, 16)}
    agent = gio.GIO("Pendulum-v1", guide=guide, **small)
    gio.testing.check_guide(guide, gio.models.GaussianModel, agent.spec)
    assert agent.learn(150).steps == 150


def test_a_program_of_the_page_in_a_file_is_checked_compiled_saved_and_loaded_by_its_name(here, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)  # traced; what Inductor does takes a minute
    programs, _, continuous, _ = blocks("docs/programs.md")
    (here / "mine.py").write_text(programs + continuous)
    name = "mine.py:MyContinuousGuide"
    small = {"learning_starts": 20, "batch_size": 16, "hidden": (8,)}
    agents = [gio.GIO("Pendulum-v1", guide=name, compile=compiled, **small).learn(40) for compiled in (True, False)]
    gio.testing.check_guide(name, "GaussianModel", agents[0].spec)
    assert differences(*agents) == ["/settings/compile"]
    agents[0].save("run")
    loaded = gio.GIO.load("run", guide=name)
    assert type(loaded.guide.program) is type(agents[0].guide.program)
    assert not differences(agents[0].learn(10), loaded.learn(10))


def test_the_programs_page_has_a_future_that_is_learned(here):
    own = here / "my_futures.py"
    own.write_text(blocks("docs/programs.md")[3])
    agent = gio.GIO("FrozenLake-v1", future=f"{own}:Parity", train_freq=100).learn(200)
    assert agent.spec.future_space.n == 2


def test_the_readmes_first_example_runs(here):
    names: dict[str, object] = {}
    exec(quickly(blocks("README.md")[0]), names)
    assert (here / "runs" / "pendulum" / "checkpoint.pt").is_file()


def test_the_readmes_reward_for_other_loops_runs():
    (code,) = [code for code in blocks("README.md") if "gio.IntrinsicReward" in code]
    names = {"gio": gio, "samples": samples(gymnasium.make("CartPole-v1"), 8, 2)}
    exec(code, names)
    assert names["bonus"].shape == (8, 2)


def test_the_readmes_exact_example_runs():
    (code,) = [code for code in blocks("README.md") if "tabular.empowerment" in code]
    exec(code, {"gymnasium": gymnasium})


def test_the_worlds_page_runs(here):
    names: dict[str, object] = {}
    for code in blocks("docs/worlds.md"):
        exec(quickly(code), names)
    assert names["image"].shape == (12, 28, 3)


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/programs.md", "docs/theory.md", "docs/worlds.md"]
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


WORLDS = sum(name.startswith("gio/") for name in gymnasium.registry)
NUMBERS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen",
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (r"the (\w+)\s+models \(", len(models.__all__)),
        (r"and (\w+) guides \(", len(guides.__all__)),
        (r"(\w+) worlds that come with the library", WORLDS),
        (r"(\w+) notebooks, stored", len(list((ROOT / "examples").glob("*.ipynb")))),
    ],
)
def test_the_readme_counts_right(pattern: str, count: int):
    (found,) = re.findall(pattern, (ROOT / "README.md").read_text())
    assert found.lower() == NUMBERS[count]


@pytest.mark.parametrize("names", [models.__all__, guides.__all__], ids=["models", "guides"])
def test_the_programs_page_lists_every_program(names: list[str]):
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|.*", (ROOT / "docs/programs.md").read_text(), re.M))))
    assert set(names) <= listed


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
EQUATION = re.compile(r" {2,}\((\d+)\)$", re.M)
"""Where an equation is numbered: at the end of its line."""
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
        (ROOT / "docs/theory.md", THEORY),
        (ROOT / "README.md", (ROOT / "README.md").read_text()),
    ]:
        for found in MENTION.findall(text):
            for number in filter(None, found):
                assert number in equations, f"{path}: equation {number}"
                mentioned[number] += 1
        for number in re.findall(r"[Tt]heory(?:\.md)?`?(?:\]\([^)]*\))?,\s+section\s+(\d+)(?![\d.]*\.\d)", text):
            assert number in sections, f"{path}: section {number}"
    assert mentioned["3"] > 10
