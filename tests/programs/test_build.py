"""Programs are built from names, and every failure raises one clear error."""

import pickle
import threading
from pathlib import Path
from textwrap import dedent
from typing import Any

import gymnasium as gym
import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete

import gio_pyro as gio
from gio_pyro import guides, models
from gio_pyro.errors import ProgramError
from gio_pyro.nn import width
from gio_pyro.programs import (
    Guide,
    Model,
    build_guide,
    build_model,
    default_programs,
    example,
    reference,
    resolve,
)
from gio_pyro.types import Spec
from tests.spaces import FITTING_GUIDES, GUIDES, KINDS, MODELS, image, vector

SPEC = Spec(Discrete(4), Discrete(2), Discrete(4))

FILE = """
import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import nn

NUMBER = 3


class MyModel(PyroModule):
    learning_rate = 0.1

    def __init__(self, spec):
        super().__init__()
        sizes = (int(s.n) for s in (spec.state_space, spec.action_space, spec.future_space))
        self.table = nn.Parameter(torch.zeros(*sizes))

    def forward(self, policy, state, future=None):
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=self.table[state, action]), obs=future)


class MyGuide(PyroModule):
    def __init__(self, spec):
        super().__init__()
        sizes = (int(s.n) for s in (spec.state_space, spec.future_space, spec.action_space))
        self.table = nn.Parameter(torch.zeros(*sizes))

    def forward(self, policy, state, future):
        with pyro.plate("batch", state.shape[0]):
            pyro.sample("action", dist.Categorical(logits=self.table[state, future]))


def my_model(policy, state, future=None):
    table = pyro.param("table", lambda: torch.zeros(16, 4, 16))
    with pyro.plate("batch", state.shape[0]):
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", dist.Categorical(logits=table[state, action]), obs=future)


class Bare:
    def __init__(self):
        pass


class Silent:
    def __init__(self, spec):
        pass
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def uniform(state: torch.Tensor) -> Any:
    return dist.Categorical(logits=torch.zeros(len(state), 2))


@pytest.mark.parametrize("name", models.__all__)
def test_a_bare_name_is_a_model_of_this_library(name: str):
    assert resolve(name, "model") is getattr(models, name)


@pytest.mark.parametrize("name", guides.__all__)
def test_a_bare_name_is_a_guide_of_this_library(name: str):
    assert resolve(name, "guide") is getattr(guides, name)


def test_a_module_path_names_a_program():
    assert resolve("gio_pyro.models.categorical:CategoricalModel", "model") is models.CategoricalModel


def test_a_file_names_a_program(file: Path):
    program = resolve(f"{file}:MyModel", "model")
    assert isinstance(program, type)
    assert program.__name__ == "MyModel"


def test_a_relative_file_names_a_program(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(file.parent)
    assert resolve("mine.py:my_model", "model").__name__ == "my_model"


def test_two_files_of_one_name_are_two_programs(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"def model(*args):\n    return {folder!r}\n")
    first, second = (resolve(f"{tmp_path / folder}/mine.py:model", "model") for folder in ("a", "b"))
    assert (first(), second()) == ("a", "b")
    assert [pickle.loads(pickle.dumps(model)) for model in (first, second)] == [first, second]


def test_a_file_runs_once_until_it_is_edited(tmp_path: Path):
    """One module object, so that its classes are one; they pickle; an edit of the same second and size is seen."""
    path = tmp_path / "mine.py"
    text = "with open({!r}, 'a') as log:\n    log.write('run ')\n\n\nclass M:\n    number = {}\n"
    path.write_text(text.format(str(tmp_path / "log"), 1))
    model, guide = resolve(f"{path}:M", "model"), resolve(f"{tmp_path}/../{tmp_path.name}/mine.py:M", "guide")
    assert model is guide
    assert (tmp_path / "log").read_text() == "run "
    assert pickle.loads(pickle.dumps(model)) is model
    path.write_text(text.format(str(tmp_path / "log"), 2))
    edited = resolve(f"{path}:M", "model")
    assert (model.number, edited.number) == (1, 2)
    assert [pickle.loads(pickle.dumps(kind)) for kind in (model, edited)] == [model, edited]


def test_a_file_that_raised_runs_again(tmp_path: Path):
    path = tmp_path / "waits.py"
    path.write_text(f"from pathlib import Path\n\nmodel = Path({str(tmp_path / 'data')!r}).read_text\nmodel()\n")
    with pytest.raises(ProgramError, match="FileNotFoundError"):
        resolve(f"{path}:model", "model")
    (tmp_path / "data").write_text("here")
    assert resolve(f"{path}:model", "model")() == "here"


def sentence(error: pytest.ExceptionInfo[ProgramError]) -> str:
    """The message, after checking that it is one line of the house's form."""
    text = str(error.value)
    assert text.startswith("Expected ")
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ProgramError) as error:
        resolve("NoSuchModel", "model")
    assert "'NoSuchModel' in gio_pyro.models, which has: BayesianModel, CategoricalModel, " in sentence(error)


def test_a_guide_is_not_found_among_the_models():
    with pytest.raises(ProgramError) as error:
        resolve("CategoricalGuide", "model")
    assert "a model named 'CategoricalGuide' in gio_pyro.models" in sentence(error)


def test_an_unknown_name_in_a_file_lists_what_the_file_has(file: Path):
    with pytest.raises(ProgramError) as error:
        resolve(f"{file}:Missing", "model")
    assert "'Missing'" in sentence(error)
    assert sentence(error).endswith("which has: Bare, MyGuide, MyModel, Silent, my_model.")


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(ProgramError) as error:
        resolve("no_such_package.part:Name", "guide")
    assert "no_such_package" in sentence(error)
    assert "check the spelling" in sentence(error)


@pytest.mark.parametrize("place", ["importing.py", "importing"])
def test_a_package_that_a_file_misses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str):
    (tmp_path / "importing.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ProgramError) as error:
        resolve(f"{place}:MyGuide", "guide")
    assert f"Expected {place} to import, but it raised ModuleNotFoundError: No module named 'not" in sentence(error)
    assert "spelling" not in sentence(error)


def test_a_file_given_as_a_module_is_told_how_to_name_it(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(file.parent)
    with pytest.raises(ProgramError) as error:
        resolve("mine:MyGuide", "guide")
    assert sentence(error).endswith("a file is named mine.py:MyGuide.")


def test_a_file_without_a_name_is_told_how_to_name_one(file: Path):
    with pytest.raises(ProgramError) as error:
        resolve(str(file), "guide")
    assert "Expected a guide in a file as file.py:Name, but got" in sentence(error)
    assert f"say which as {file}:Name" in sentence(error)


def test_a_module_that_cannot_be_copied_is_refused():
    class Locked(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(ProgramError) as error:
        build_model(Locked(), SPEC, uniform, torch.zeros(1, dtype=torch.long))
    assert "Expected a Locked that can be copied" in sentence(error)
    assert sentence(error).endswith("pass the class Locked instead.")


def test_a_file_that_does_not_exist_is_named(tmp_path: Path):
    with pytest.raises(ProgramError) as error:
        resolve(f"{tmp_path}/absent.py:Name", "model")
    assert f"a Python file at {tmp_path}/absent.py, but there is none" in sentence(error)


def test_a_file_that_raises_says_what_it_raised(tmp_path: Path):
    (tmp_path / "bad.py").write_text("raise ValueError('not today')\n")
    with pytest.raises(ProgramError) as error:
        resolve(f"{tmp_path}/bad.py:Name", "model")
    assert "ValueError: not today" in sentence(error)


def test_a_file_that_raises_over_many_lines_still_gives_one_line(tmp_path: Path):
    (tmp_path / "bad.py").write_text("raise ValueError('first\\nsecond')\n")
    with pytest.raises(ProgramError) as error:
        resolve(f"{tmp_path}/bad.py:Name", "model")
    assert "ValueError" in sentence(error)


def test_a_file_that_is_not_python_is_a_readable_error(tmp_path: Path):
    (tmp_path / "bad.py").write_text("def (:\n")
    with pytest.raises(ProgramError) as error:
        resolve(f"{tmp_path}/bad.py:Name", "model")
    assert "SyntaxError" in sentence(error)


def test_what_is_not_callable_is_refused(file: Path):
    with pytest.raises(ProgramError) as error:
        resolve(f"{file}:NUMBER", "model")
    assert "to be a class or callable, but got an int" in sentence(error)


def test_a_class_that_takes_no_spec_is_refused(file: Path):
    with pytest.raises(ProgramError) as error:
        build_model(resolve(f"{file}:Bare", "model"), SPEC, uniform, torch.zeros(1, dtype=torch.long))
    assert "Bare(spec) to build a program" in sentence(error)


def test_a_class_whose_objects_cannot_be_called_is_refused(file: Path):
    with pytest.raises(ProgramError) as error:
        build_model(resolve(f"{file}:Silent", "model"), SPEC, uniform, torch.zeros(1, dtype=torch.long))
    assert "Silent(spec) to be callable" in sentence(error)


def test_building_gives_wrapped_programs_that_name_themselves():
    state = torch.zeros(1, dtype=torch.long)
    model = build_model(models.CategoricalModel, SPEC, uniform, state)
    guide = build_guide(guides.BayesGuide, SPEC, model, uniform, state)
    assert isinstance(model, Model)
    assert isinstance(guide, Guide)
    assert (model.name, guide.name) == ("CategoricalModel", "BayesGuide")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("finite", ("CategoricalModel", "CategoricalGuide")),
        ("vector, discrete", ("GaussianModel", "CategoricalNetworkGuide")),
        ("vector, continuous", ("GaussianModel", "GaussianGuide")),
        ("image, discrete", ("GaussianModel", "CategoricalNetworkGuide")),
        ("image, continuous", ("GaussianModel", "GaussianGuide")),
        ("vector, continuous, finite futures", ("CategoricalNetworkModel", "GaussianGuide")),
    ],
)
def test_programs_that_nobody_named_fit_the_spaces(kind: str, names: tuple[str, str]):
    chosen = default_programs(KINDS[kind])
    assert (chosen["model"], chosen["guide"]) == names
    assert names[0] in MODELS[kind]
    assert names[1] in GUIDES[kind]


def test_finite_states_with_continuous_actions_get_networks():
    chosen = default_programs(Spec(Discrete(5), vector(2), Discrete(5)))
    assert (chosen["model"], chosen["guide"]) == ("CategoricalNetworkModel", "GaussianGuide")


@pytest.mark.parametrize(("kind", "model", "name"), FITTING_GUIDES)
def test_programs_are_built_on_one_example(kind: str, model: str, name: str):
    world = KINDS[kind]
    discrete = isinstance(world.action_space, Discrete)

    def policy(state: torch.Tensor) -> Any:
        numbers = torch.zeros(len(state), width(world.action_space))
        return dist.Categorical(logits=numbers) if discrete else dist.Normal(numbers, 1.0).to_event(1)

    first = example(world.state_space, torch.device("cpu"))
    with torch.random.fork_rng():
        built = build_model(getattr(models, model), world, policy, first)
        assert build_guide(getattr(guides, name), world, built, policy, first).name == name


@pytest.mark.parametrize(
    ("space", "kind"),
    [(Discrete(4), torch.long), (vector(3), torch.float32), (image(7), torch.uint8), (Box(0, 1, ()), torch.float32)],
)
def test_an_example_is_a_batch_of_one_zero(space: Any, kind: torch.dtype):
    value = example(space, torch.device("cpu"))
    assert (tuple(value.shape), value.dtype) == ((1, *(space.shape or ())), kind)
    assert not bool(value.any())


def of_normals(size: int) -> Any:
    def normals(policy: Any, state: torch.Tensor, future: torch.Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            mean = action.float().sum(-1, keepdim=True).expand(-1, size)
            return pyro.sample("future", dist.Normal(mean, 1.0).to_event(1), obs=future)

    return normals


def standard(state: torch.Tensor) -> Any:
    return dist.Normal(torch.zeros(len(state), 2), 1.0).to_event(1)


def test_futures_of_another_size_are_refused_when_the_agent_is_built():
    build_model(of_normals(3), KINDS["vector, continuous"], standard, torch.zeros(1, 3))
    with pytest.raises(ProgramError) as error:
        build_model(of_normals(4), KINDS["vector, continuous"], standard, torch.zeros(1, 3))
    assert 'site "future" of normals to range over tensors of shape (3,), but got a Independent' in sentence(error)


def two_humped(policy: Any, state: torch.Tensor, future: torch.Tensor | None = None) -> Any:
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", policy(state))
        mean = action.float().reshape(len(state), -1).sum(-1)[:, None, None].expand(-1, 2, 3)
        components = dist.Normal(mean, 1.0).to_event(1)
        mixed = dist.MixtureSameFamily(dist.Categorical(logits=torch.zeros(len(state), 2)), components)
        return pyro.sample("future", mixed, obs=future)


def test_futures_that_a_continuous_policy_could_not_feel_are_refused_when_the_agent_is_built():
    with pytest.raises(ProgramError) as error:
        build_model(two_humped, KINDS["vector, continuous"], standard, torch.zeros(1, 3))
    assert "the futures of two_humped to be reparameterised (has_rsample) as actions are cont" in sentence(error)


def test_a_discrete_policy_need_not_feel_the_futures():
    build_model(
        two_humped,
        KINDS["vector, discrete"],
        lambda s: dist.Categorical(logits=torch.zeros(len(s), 3)),
        torch.zeros(1, 3),
    )


def test_classes_are_refused_where_futures_are_real_numbers():
    def classes(policy: Any, state: torch.Tensor, future: torch.Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=torch.zeros(len(state), 3)), obs=future)

    with pytest.raises(ProgramError) as error:
        build_model(classes, KINDS["vector, continuous"], standard, torch.zeros(1, 3))
    assert "to range over tensors of shape (3,), but got a Categorical with event shape ()" in sentence(error)


def test_a_reference_resolves_to_the_same_program():
    name = reference(models.CategoricalModel)
    assert name == "gio_pyro.models.categorical:CategoricalModel"
    assert resolve(name, "model") is models.CategoricalModel


def test_an_agent_learns_with_programs_from_a_file(file: Path):
    agent = gio.GIO("FrozenLake-v1", model=f"{file}:MyModel", guide=f"{file}:MyGuide", objective="sleep")
    before = [p.detach().clone() for p in (*agent.model.parameters(), *agent.guide.parameters())]
    agent.learn(500)
    after = [*agent.model.parameters(), *agent.guide.parameters()]
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_an_agent_learns_with_a_function_from_a_file(file: Path):
    agent = gio.GIO(gym.make("FrozenLake-v1"), model=f"{file}:my_model", guide="BayesGuide").learn(500)
    (table,) = agent.model.parameters()
    assert bool((table != 0).any())


def test_an_agent_tells_a_wrong_file_in_one_sentence(tmp_path: Path):
    (tmp_path / "late.py").write_text(
        dedent("""
        def model(policy, state, future=None):
            return None
        """)
    )
    with pytest.raises(ProgramError, match='Expected model to sample the site "action", but it samples nothing; add'):
        gio.GIO("FrozenLake-v1", model=f"{tmp_path}/late.py:model")
