"""What the documentation shows, run as it stands."""

import re
import sys
from pathlib import Path

import gymnasium
import pytest

import gio_pyro as gio
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
