"""What every signal does and leaves undone, and how it is named.

Cost: 2 s.
"""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gio_pyro.errors import InputError, ProgramError, TrainingError
from gio_pyro.models import BayesianModel, DirichletModel, EnsembleModel, GaussianModel
from gio_pyro.programs import Model
from gio_pyro.signals import NAMES, Fitted, Signal, signal_named
from gio_pyro.types import Spec
from tests.spaces import KINDS

from .worlds import FEW, FINITE, VECTORS, fitted, some

IMAGES = KINDS["image, discrete"]
CASES: list[tuple[str, dict[str, Any], Any, Spec]] = [
    ("Control", {}, DirichletModel, FINITE),
    ("Control", {}, GaussianModel, VECTORS),
    ("PredictionError", {}, GaussianModel, VECTORS),
    ("PredictionError", {"features": "icm"}, GaussianModel, VECTORS),
    ("PredictionError", {"features": "icm"}, DirichletModel, FINITE),
    ("PredictionError", {"lag": 2}, DirichletModel, FINITE),
    ("LinearEmbedding", {}, DirichletModel, FINITE),
    ("LinearEmbedding", {}, GaussianModel, VECTORS),
    ("ReconstructionError", {}, DirichletModel, FINITE),
    ("ReconstructionError", {}, GaussianModel, VECTORS),
    ("RegionalProgress", {}, DirichletModel, FINITE),
    ("RegionalProgress", {}, BayesianModel, VECTORS),
    ("Disagreement", {}, DirichletModel, FINITE),
    ("Disagreement", {}, EnsembleModel, FEW),
    ("Disagreement", {"kind": "variance"}, BayesianModel, VECTORS),
    ("InformationGain", {}, DirichletModel, FINITE),
    ("InformationGain", {}, BayesianModel, VECTORS),
    ("LearningProgress", {}, BayesianModel, VECTORS),
    ("LearningProgress", {}, DirichletModel, FINITE),
    ("Reachability", {}, DirichletModel, FINITE),
    ("Reachability", {}, GaussianModel, FEW),
    ("RandomNetworkDistillation", {}, DirichletModel, FINITE),
    ("RandomNetworkDistillation", {}, GaussianModel, VECTORS),
]
every_case = pytest.mark.parametrize(
    ("name", "settings", "kind", "spec"),
    CASES,
    ids=[f"{n}-{k.__name__}{''.join(map(str, s.values()))}" for n, s, k, _ in CASES],
)


@pytest.fixture(autouse=True)
def private_numbers() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def contents(module: nn.Module) -> dict[str, Any]:
    return copy.deepcopy(dict(module.state_dict()))


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@every_case
def test_a_reading_is_finite_and_changes_nothing(name: str, settings: Any, kind: Any, spec: Spec):
    source, data = fitted(kind, spec), some(spec)
    signal = signal_named(name, source, **settings)
    signal.observe(data)
    kept, model, guide, stream = contents(signal), contents(source.model), contents(source.guide), torch.get_rng_state()
    found = signal(data)
    assert (found.shape, found.requires_grad, bool(torch.isfinite(found).all())) == ((32,), False, True)
    assert torch.equal(found, signal(data))
    assert equal(kept, contents(signal))
    assert torch.equal(stream, torch.get_rng_state())
    assert equal((model, guide), (contents(source.model), contents(source.guide)))


@every_case
def test_it_needs_the_programs_where_it_says_so(name: str, settings: Any, kind: Any, spec: Spec):
    none: Any = None
    source, data = fitted(kind, spec), some(spec)
    without = replace(source, model=none, guide=none, policy=none)
    if signal_named(name, source, **settings).reads_programs:
        with pytest.raises((AttributeError, ProgramError)):
            signal_named(name, without, **settings)(data)
        return
    signal = signal_named(name, without, **settings)
    signal.observe(data)
    signal.update(data)
    assert bool(torch.isfinite(signal(data)).all())


@every_case
def test_learning_leaves_model_and_guide_as_they_were(name: str, settings: Any, kind: Any, spec: Spec):
    source, data = fitted(kind, spec), some(spec)
    signal = signal_named(name, source, **settings)
    before = contents(source.model), contents(source.guide)
    signal.observe(data)
    figures = signal.update(data)
    assert equal(before, (contents(source.model), contents(source.guide)))
    assert all(parameter.grad is None for parameter in source.model.parameters())
    assert all(bool(torch.isfinite(figure)) for figure in figures.values())


@every_case
def test_what_was_saved_reads_and_learns_on_exactly(name: str, settings: Any, kind: Any, spec: Spec, tmp_path: Any):
    source, data = fitted(kind, spec), some(spec)
    signal = signal_named(name, source, **settings)
    signal.observe(data)
    signal.update(data)
    torch.save(signal.state_dict(), tmp_path / "signal.pt")
    other = signal_named(name, source, **settings)
    other.load_state_dict(torch.load(tmp_path / "signal.pt", weights_only=True))
    assert torch.equal(signal(data), other(data))
    for one in (signal, other):
        torch.manual_seed(1)
        one.observe(data)
        one.update(data)
    assert torch.equal(signal(data), other(data))


@pytest.mark.parametrize("name", ["PredictionError", "Reachability", "RandomNetworkDistillation"])
def test_images_are_read(name: str):
    source, data = fitted(GaussianModel, IMAGES), some(IMAGES, 6)
    pictures = (torch.randint(256, (6, 7, 7, 3), dtype=torch.uint8) for _ in range(2))
    data = type(data)(next(pictures), data.action, data.reward, next(pictures), *data.tensors()[4:])
    settings = {"features": "icm"} if name == "PredictionError" else {}
    signal = signal_named(name, source, **settings)
    signal.observe(data)
    signal.update(data)
    assert bool(torch.isfinite(signal(data)).all())


def test_a_state_dict_holds_nothing_of_the_agents_programs():
    kept = signal_named("InformationGain", fitted(BayesianModel, VECTORS)).state_dict()
    assert not [name for name in kept if "extra_state" not in name]


@pytest.mark.parametrize("name", NAMES)
def test_signals_say_their_unit_and_their_paper(name: str):
    assert NAMES[name].unit
    assert "arXiv" in str(NAMES[name].__doc__)


def test_an_unknown_name_is_told_in_a_sentence():
    with pytest.raises(InputError, match=r"^Expected a signal among Control, .* but got 'Boredom'; .*\.$"):
        signal_named("Boredom", fitted(DirichletModel, FINITE))


def test_a_setting_that_is_none_is_told_in_a_sentence():
    with pytest.raises(InputError, match=r"^Expected InformationGain with .*speed.*\.$"):
        signal_named("InformationGain", fitted(DirichletModel, FINITE), speed=3)


OWN = """
import torch
from gio_pyro.signals import Signal


class Constant(Signal):
    unit = "apples"

    def __init__(self, fitted, *, value=2.0):
        super().__init__(fitted)
        self.value = value

    def read(self, rows):
        return torch.full((len(rows),), self.value)


thing = 3
"""


def test_a_signal_of_ones_own_is_found_in_a_file(tmp_path: Any):
    (tmp_path / "own.py").write_text(OWN)
    signal = signal_named(f"{tmp_path}/own.py:Constant", fitted(DirichletModel, FINITE), value=5.0)
    assert signal(some(FINITE, 2)).tolist() == [5, 5]
    with pytest.raises(InputError, match=r"^Expected a signal, .* but got .*thing.*\.$"):
        signal_named(f"{tmp_path}/own.py:thing", fitted(DirichletModel, FINITE))


class Broken(Signal):
    """A signal that divides by nothing."""

    def read(self, rows: Any) -> Tensor:
        return rows.reward / rows.reward


def test_what_is_not_finite_is_told_in_a_sentence():
    with pytest.raises(TrainingError, match=r"^Expected finite numbers from Broken, .*\.$"):
        Broken(fitted(DirichletModel, FINITE))(some(FINITE))


class Total(Signal):
    """A signal of the batch."""

    def read(self, rows: Any) -> Tensor:
        return rows.reward.sum()


def test_what_is_not_one_number_each_is_told_in_a_sentence():
    with pytest.raises(InputError, match=r"^Expected one number for each of 32 transitions from Total, .*\.$"):
        Total(fitted(DirichletModel, FINITE))(some(FINITE))


class Plain(Signal):
    """A signal that is no tensor."""

    def read(self, rows: Any) -> Any:
        return rows.reward.tolist()


def test_what_is_no_tensor_is_told_in_a_sentence():
    with pytest.raises(
        InputError, match=r"^Expected a tensor of one number for each .* from Plain, but got list; .*\.$"
    ):
        Plain(fitted(DirichletModel, FINITE))(some(FINITE))


@pytest.mark.parametrize("name", [None, 5])
def test_what_is_no_name_is_told_in_a_sentence(name: Any):
    with pytest.raises(InputError, match=r"^Expected the name of a signal, but got (None|5); .*\.$"):
        signal_named(name, fitted(DirichletModel, FINITE))


def test_what_signals_are_built_from_is_frozen():
    source = fitted(DirichletModel, FINITE)
    assert isinstance(source, Fitted)
    assert isinstance(source.model, Model)
    with pytest.raises(AttributeError):
        source.model = None
