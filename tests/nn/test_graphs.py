"""Captured and compiled functions: equal to the function, for every program of the library, or refused.

What is compared bit for bit includes the state of the random generator and of Adam.
"""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import gio_pyro as gio
from gio_pyro.errors import GioWarning, InputError
from gio_pyro.nn.gradient_step import Descent, adam
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources, cache, function, running
from gio_pyro.nn.graphs.capture import Graph, capture
from gio_pyro.nn.graphs.compiler import Compilation, load
from tests.agents import differences
from tests.slow import slow_but

SMALL: dict[str, Any] = {"hidden": (8,), "learning_starts": 20, "batch_size": 16, "seed": 0, "log_interval": 20}
APART = ("/settings/compile", "/update")


class Line:
    """A step of Adam on noisy data, with dropout, and a running mean; `twist` changes the loss."""

    def __init__(self, twist: Callable[[Tensor], Tensor] = lambda loss: loss, rate: float = 0.01) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.twist = twist
        self.descent = Descent("line", self.loss, adam(list(self.net.parameters()), rate))
        self.sources = Sources([self.net], [self.descent.optimiser] if self.descent.optimiser else [])

    def loss(self, _: Any, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (self.net(x + 0.1 * torch.randn_like(x)) - y).square().mean()
        return self.twist(loss), {"loss": loss}

    def step(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return self.descent.step(None, x, y)

    def graphed(self, how: bool | str = True, **more: Any) -> GraphedFunction:
        return GraphedFunction(self.step, self.sources, Progress(how, **more))


X, Y = torch.linspace(-1, 1, 12).reshape(6, 2), torch.linspace(0, 1, 6).reshape(6, 1)


def trajectory(step: Callable[..., dict[str, Tensor]], count: int = 6) -> list[Any]:
    torch.manual_seed(3)
    return [{name: float(value.detach()) for name, value in step(X, Y).items()} for _ in range(count)]


@pytest.mark.usefixtures("uncompiled")
def test_a_captured_step_is_the_step_bit_for_bit():
    one, other = Line(), Line()
    assert trajectory(one.step) == trajectory(other.graphed())
    torch.testing.assert_close(one.net.state_dict(), other.net.state_dict(), rtol=0, atol=0)


NOISY = ("0.bias", "1.running_mean")
"""A bias before a batch norm has the gradient 0 up to rounding, of which Adam makes a step."""


@pytest.mark.slow
def test_a_compiled_step_is_the_step_up_to_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By torch's compiler, in a helper process; the second time from the cache, without one."""
    monkeypatch.setenv("GIO_PYRO_CACHE", str(tmp_path))
    one, other, again = Line(), Line(), Line()
    expected = trajectory(one.step)
    compiled = other.graphed()
    found = trajectory(compiled)
    (route,) = compiled.routes.values()
    assert route.running.compiled is not None
    for mine, theirs in zip(expected, found, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    wanted, reached = ({k: v for k, v in line.net.state_dict().items() if k not in NOISY} for line in (one, other))
    torch.testing.assert_close(reached, wanted, rtol=1e-3, atol=1e-5)
    monkeypatch.setattr(running, "Compilation", None)
    assert trajectory(again.graphed()) == found
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:1000])  # cut in half
    assert load(file) is None


def test_capturing_leaves_no_trace():
    line = Line()
    before, state = {k: v.clone() for k, v in line.net.state_dict().items()}, torch.get_rng_state()
    capture(line.step, (X, Y), line.sources)
    torch.testing.assert_close(line.net.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in line.net.parameters())


@pytest.mark.parametrize(
    ("twist", "why"),
    [
        pytest.param(lambda loss: loss * random.random(), "gave other numbers", id="Python's random numbers"),
        pytest.param(lambda loss: loss * float(np.random.rand()), "gave other numbers", id="NumPy's"),  # noqa: NPY002
        pytest.param(lambda loss: loss * time.perf_counter(), "gave other numbers", id="the clock"),
        pytest.param(lambda loss: loss if float(loss) > 0 else -loss, "capturing it raised", id="a branch"),
        pytest.param(lambda loss: loss * torch.rand((), generator=GENERATOR), "generator of its own", id="a generator"),
        pytest.param(lambda loss: loss.reshape(1)[loss.reshape(1) > 0].sum(), "selected by a mask", id="a mask"),
    ],
)
def test_what_a_graph_would_freeze_is_refused(twist: Callable[[Tensor], Tensor], why: str):
    """Once, with a warning; the numbers go on to be those of the function."""
    line = Line(twist)
    graphed = line.graphed("auto", calls=function.CAPTURED_AFTER)
    with pytest.warns(GioWarning, match=why):
        graphed(X, Y)
    graphed(X, Y)
    assert not graphed.routes
    with pytest.raises(InputError, match=rf"Expected programs that compile, but .*{why}.*; leave compile off"):
        Line(twist).graphed()(X, Y)


GENERATOR = torch.Generator().manual_seed(0)


class Annealed(nn.Module):
    """Multiplies by a number that its own calls, or a user, change."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.weight, self.rate = 1.0, rate

    def forward(self, loss: Tensor) -> Tensor:
        self.weight *= self.rate
        return loss * self.weight


def test_a_number_that_a_program_changes_is_refused_and_one_that_the_user_changes_is_read_again():
    counting, fixed = Annealed(0.9), Annealed(1.0)
    for module in (counting, fixed):
        line = Line(module)
        line.sources = Sources([line.net, module], line.sources.optimisers)
        graphed = line.graphed("auto", calls=function.CAPTURED_AFTER)
        if module is counting:
            with pytest.warns(GioWarning, match="a program changes a number of its own in Python"):
                graphed(X, Y)
            continue
        other = Line(fixed)
        for weight in (1.0, 7.0):
            fixed.weight = weight
            graphed.recheck()
            assert trajectory(graphed, 3) == trajectory(other.step, 3)


@pytest.mark.usefixtures("uncompiled")
def test_a_replaced_tensor_a_learning_rate_and_another_shape_are_captured_anew(uncompiled: list[Graph]):
    one, other = Line(), Line()
    graphed = one.graphed()
    for change in ("nothing", "tensor", "rate"):
        for line in (one, other):
            if change == "tensor":
                line.net[3].bias = nn.Parameter(torch.ones(1))
                line.descent.optimiser.param_groups[0]["params"][-1] = line.net[3].bias
            elif change == "rate":
                line.descent.optimiser.param_groups[0]["lr"] = 0.5
        graphed.recheck()
        assert trajectory(graphed, 3) == trajectory(other.step, 3)
    for rows in (2, 6, 3, 4, 5):
        torch.manual_seed(0)
        found = graphed(X[:rows], Y[:rows])
        torch.manual_seed(0)
        assert found == other.step(X[:rows], Y[:rows])
    assert len(graphed.routes) == function.MOST_SHAPES


def test_an_update_runs_as_it_is_at_first_then_captured_and_compiled_if_that_pays(uncompiled: list[Graph]):
    few, many = Line().graphed("auto"), Line().graphed("auto")
    many.ahead = function.WORTH_CAPTURING + 3
    for graphed in (few, many):
        trajectory(graphed, 3)
    assert (len(few.routes), len(many.routes), len(uncompiled)) == (0, 1, 0)
    trajectory(few, function.CAPTURED_AFTER)
    assert len(few.routes) == 1


PROGRAMS = (
    ("Pendulum-v1", {}),
    *(("Pendulum-v1", {"guide": guide}) for guide in ("UniformGuide", "MixtureGuide", "AutoregressiveGuide")),
    *(("Pendulum-v1", {"model": model}) for model in ("MixtureModel", "EnsembleModel", "BayesianModel", "RegimeModel")),
    ("Pendulum-v1", {"temperature": "auto", "objective": "forward_kl", "intrinsic": "replayed"}),
    ("Pendulum-v1", {"training": "alternating", "objective": "elbo"}),
    ("Pendulum-v1", {"signal": "RandomNetworkDistillation", "signal_value": True}),
    ("CartPole-v1", {}),
    ("CartPole-v1", {"guide": "MovingMarginalGuide", "temperature": "loss:0.1"}),
    ("CartPole-v1", {"guide": "BayesGuide", "future": "Return(5)"}),
    ("Pendulum-v1", {"critic": "batch_renorm", "signal": "RandomNetworkDistillation", "signal_value": True}),
    *(("CartPole-v1", {"critic": critic}) for critic in ("batch_renorm", "residual")),
)
"""An environment and settings for every kind of program, objective and reward of networks."""


@pytest.mark.parametrize("case", slow_but(PROGRAMS, PROGRAMS[0], PROGRAMS[12], PROGRAMS[14]))
@pytest.mark.filterwarnings("ignore:The intrinsic reward varies")
def test_a_captured_agent_is_the_plain_one_for_every_program(case: tuple[str, dict[str, Any]], uncompiled: list[Graph]):
    environment, how = case
    plain, captured = (gio.GIO(environment, compile=on, **SMALL | how).learn(60) for on in (False, True))
    assert differences(plain, captured, ignore=APART) == []
    assert uncompiled


@pytest.mark.slow
def test_a_guide_that_selects_rows_goes_on_in_python_and_the_rest_as_well():
    settings = SMALL | {"guide": "FlowGuide"}
    plain = gio.GIO("Pendulum-v1", compile=False, **settings).learn(160)
    with pytest.warns(GioWarning, match="rows are selected by a mask"):
        other = gio.GIO("Pendulum-v1", compile="auto", **settings).learn(160)
    assert differences(plain, other, ignore=APART) == []


def test_a_resumed_run_is_the_run_that_was_not_interrupted_however_its_update_runs(
    tmp_path: Path, uncompiled: list[Graph], monkeypatch: pytest.MonkeyPatch
):
    """Here a compiled graph is one that differs in its last digits."""
    monkeypatch.setattr(function, "CAPTURED_AFTER", 12)
    real = running.load
    monkeypatch.setattr(running, "load", lambda place: rounding(real(place)))
    for how in ("auto", True, False):
        monkeypatch.setattr(function, "WORTH_COMPILING", 0)
        whole, half = (gio.GIO("Pendulum-v1", compile=how, **SMALL) for _ in range(2))
        whole.learn(60)
        half.learn(30).save(tmp_path / str(how))
        assert differences(gio.GIO.load(tmp_path / str(how)).learn(30), whole) == []
        assert whole.update.progress.compiled == (how is not False)


def test_functions_that_take_turns_all_get_their_compiled_graph(
    uncompiled: list[Graph], monkeypatch: pytest.MonkeyPatch
):
    """With two improvements an update makes two calls, so that each function has every other one."""
    monkeypatch.setattr(function, "CAPTURED_AFTER", 12)
    monkeypatch.setattr(function, "WORTH_COMPILING", 0)
    update = gio.GIO("Pendulum-v1", compile="auto", **SMALL | {"improvements": 2}).learn(80).update
    routes = [*update.whole.routes.values(), *update.improving.routes.values()]
    assert len(routes) == 2
    assert all(route.running.compiled is not None for route in routes)


def rounding(compiled: Any) -> Any:
    """A compiled graph whose results and state are a bit off."""

    def run(tensors: Any) -> list[Tensor]:
        found = compiled(tensors)
        for tensor in tensors[:3]:
            if tensor.is_floating_point():
                tensor.mul_(1 + 1e-7)
        return list(found)

    return None if compiled is None else run


def test_one_mode_describes_the_tensors_of_a_whole_capture(monkeypatch: pytest.MonkeyPatch):
    """Where no mode is set, the tracer makes one for each operation, and capturing takes twice as long."""
    made: list[FakeTensorMode] = []
    real = FakeTensorMode.__init__

    def init(self: FakeTensorMode, **given: Any) -> None:
        made.append(self)
        real(self, **given)

    monkeypatch.setattr(FakeTensorMode, "__init__", init)
    line = Line()
    capture(line.step, (X, Y), line.sources)
    assert len(made) == 1


def test_a_helper_that_is_waited_for_ends_with_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIO_PYRO_CACHE", str(tmp_path / "cache"))
    line = Line()
    compilation = Compilation(capture(line.step, (X, Y), line.sources), waits=True)
    assert compilation.running()
    process, folder = compilation.process, compilation.folder
    del compilation
    assert process.poll() is not None
    assert not folder.exists()
    assert not cache.folder().exists() or not list(cache.folder().iterdir())


@pytest.mark.parametrize(("turn", "files"), [(lambda: cache.alone_with(Path("graph.pt2")), 0), (cache.in_turn, 1)])
def test_helpers_of_one_graph_and_of_one_processor_take_turns(
    turn: Any, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(cache.os, "cpu_count", lambda: 1)
    order: list[str] = []

    def second() -> None:
        with turn():
            order.append("second")

    other = threading.Thread(target=second)
    with turn():
        other.start()
        time.sleep(0.2)
        order.append("first")
    other.join(timeout=10)
    assert order == ["first", "second"]
    assert len(list(tmp_path.iterdir())) == files  # one for each processor stays


KILLED = """
import os, signal, sys
from gio_pyro.nn.graphs import compiler
from gio_pyro.nn.graphs.capture import capture
from tests.nn.test_graphs import X, Y, Line

line, waits, compiler.LINGERS = Line(), sys.argv[1] == "waits", int(sys.argv[2])
compilation = compiler.Compilation(capture(line.step, (X, Y), line.sources), waits=waits)
print(compilation.folder, flush=True)
if sys.argv[3] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("waits", "lingers", "how", "files"),
    [("waits", 60, "killed", 0), ("auto", 1, "killed", 0), ("auto", 120, "ends", 1)],
)
def test_a_helper_without_its_process_finishes_in_time_or_leaves_nothing(
    waits: str, lingers: int, how: str, files: int, tmp_path: Path
):
    place = tmp_path / "cache"
    given = os.environ | {"GIO_PYRO_CACHE": str(place), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", KILLED, waits, str(lingers), how]
    ran = subprocess.run(
        command, env=given, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=60
    )
    folder, end = Path(ran.stdout.strip()), time.monotonic() + 150
    assert folder.parent == tmp_path, ran.stderr
    assert not ran.stderr
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.2)
    assert not folder.exists()
    left = list(place.iterdir()) if place.exists() else []
    assert len(left) == files
    assert all(load(file) is not None for file in left)
