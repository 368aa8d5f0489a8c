"""The tasks of known mutual information, the programs that are fitted to them, and the numbers compared.

Cost: 10 s.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from gio_pyro.testing import check_guide, check_model
from gio_pyro.types import Spec

from .scripts import run, script

given, programs, benchmark = script("information_tasks"), script("information_programs"), script("mutual_information")
TASKS = given.tasks()


def drawn(name: str, count: int, seed: int = 0):
    return TASKS[name].draw(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "information"),
    [
        ("normal 1x1", 0.413), ("uniform noise", 0.333), ("student 1x1 df 1", 0.224), ("dense 25x25", 1.292),
        ("sparse 25x25", 1.022), ("sparse 3x3", 1.022), ("spiral of sparse 5x5", 1.022), ("swiss roll 1x2", 0.413),
        ("half-cube of normal 1x1", 0.413),
    ],
)  # fmt: skip
def test_the_information_is_that_of_the_paper(name: str, information: float):
    assert TASKS[name].information == pytest.approx(information, abs=5e-4)


def test_the_information_of_uniform_noise_is_that_of_quadrature():
    for most in (0.1, 0.75):
        ends = (-most, min(most, 1 - most), max(most, 1 - most), 1 + most)

        def entropy(y: float, most: float = most) -> float:
            density = (min(1.0, y + most) - max(0.0, y - most)) / (2 * most)
            return 0.0 if density <= 0 else -density * math.log(density)

        of_y = sum(integrate.quad(entropy, low, high)[0] for low, high in pairwise(ends))
        found = of_y - math.log(2 * most)
        assert given.uniform_noise(most).information == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize(("size", "df"), [(1, 1), (1, 5), (2, 1), (5, 3)])
def test_draws_of_a_student_have_the_information_of_their_densities(size: int, df: int):
    task = given.student(size, df)
    x, y = (v.numpy() for v in task.draw(50_000, torch.Generator().manual_seed(1)))
    both, part = (stats.multivariate_t(shape=np.eye(n), df=df) for n in (2 * size, size))
    each = both.logpdf(np.hstack([x, y])) - part.logpdf(x.reshape(-1, size)) - part.logpdf(y.reshape(-1, size))
    assert each.mean() == pytest.approx(task.information, abs=4 * each.std() / len(each) ** 0.5)


@pytest.mark.parametrize("name", ["normal 1x1", "dense 5x5", "sparse 5x5"])
def test_draws_of_a_normal_have_the_information_of_their_correlations(name: str):
    assert benchmark.cca(*drawn(name, 50_000)) == pytest.approx(TASKS[name].information, abs=0.02)


@pytest.mark.parametrize("name", TASKS)
def test_the_source_of_x_is_mapped_to_a_standard_normal(name: str):
    x, _ = drawn(name, 20_000)
    a = TASKS[name].source(x)
    assert a.shape == x.shape
    torch.testing.assert_close(
        torch.atleast_2d(torch.cov(a.T)), torch.eye(a.shape[1], dtype=a.dtype), atol=0.06, rtol=0
    )
    radius = a.square().sum(-1).numpy()
    assert stats.kstest(radius, stats.chi2(a.shape[1]).cdf).pvalue > 1e-4


def test_maps_are_bijections():
    z = torch.randn(100, 5, dtype=torch.float64)
    torch.testing.assert_close(given.half_cube_inverse(given.half_cube(z)), z)
    for first in (0, 1):
        torch.testing.assert_close(given.turned(given.turned(z, first, 0.2), first, -0.2), z)
    u = torch.rand(100, 1, dtype=torch.float64)
    angle = 21 * given.rolled(u).norm(dim=-1, keepdim=True)
    torch.testing.assert_close((angle / (1.5 * math.pi) - 1) / 2, u)


def test_the_spline_density_is_normalised_and_that_of_its_draws():
    torch.manual_seed(0)
    density = programs.SplineConditional(2, 1, 32).eval()
    for parameter in density.parameters():
        parameter.data.normal_(0, 0.25)
    density.slope[0] = 0.5
    line = torch.linspace(-12, 12, 600)
    grid = torch.cartesian_prod(line, line)
    condition = torch.tensor([[0.7]])
    with torch.no_grad():
        mass = density.distribution(condition.expand(len(grid), 1)).log_prob(grid).exp() * (line[1] - line[0]) ** 2
        draws = density.distribution(condition.expand(50_000, 1)).sample()
    assert float(mass.sum()) == pytest.approx(1.0, abs=0.01)
    for moment in (lambda v: v, lambda v: v.square(), lambda v: v.prod(-1, keepdim=True)):
        torch.testing.assert_close(moment(draws).mean(0), (mass[:, None] * moment(grid)).sum(0), atol=0.04, rtol=0.02)


def test_a_turn_leaves_the_linear_part_as_it_is():
    torch.manual_seed(0)
    given, value = torch.randn(2, 500, 4)
    value = 0.6 * value + given * torch.tensor([0.8, 0.5, 0.0, 0.0])
    plain, turned = (programs.SplineConditional(4, 4, 8, turned=flag).eval() for flag in (False, True))
    for density in (plain, turned):
        density.observe(value, given)
    assert float((turned.turn - torch.eye(4)).abs().max()) > 0.1
    expected, found = (density.distribution(given).log_prob(value) for density in (plain, turned))
    torch.testing.assert_close(found, expected)
    several = turned.distribution(given[:1].expand(20_000, 4)).sample()
    torch.testing.assert_close(several.mean(0), given[0] * plain.slope, atol=0.03, rtol=0)
    torch.testing.assert_close(torch.cov(several.T), plain.scale.square().diag(), atol=0.04, rtol=0)


def test_a_mixture_is_the_mean_density_of_its_members_and_that_of_its_draws():
    torch.manual_seed(0)
    members = [programs.SplineConditional(2, 1, 16, turned=True).eval() for _ in range(3)]
    for parameter in (parameter for member in members for parameter in member.parameters()):
        parameter.data.normal_(0, 0.25)
    condition = torch.tensor([[-1.0], [0.7]])
    mixture = programs.Mixture(members, condition)
    with torch.no_grad():
        value = torch.randn(5, 2, 2)
        each = torch.stack([member.distribution(condition).log_prob(value).exp() for member in members])
        torch.testing.assert_close(mixture.log_prob(value).exp(), each.mean(0))
        draws = mixture.sample(torch.Size([30_000]))
        apart = torch.stack([member.distribution(condition).sample(torch.Size([30_000])) for member in members])
    for moment in (lambda v: v, lambda v: v.square(), lambda v: v.prod(-1, keepdim=True)):
        torch.testing.assert_close(moment(draws).mean(0), moment(apart).mean((0, 1)), atol=0.05, rtol=0.02)


def test_each_pair_is_judged_from_within_by_the_guides_fitted_to_it():
    pairs, fold = benchmark.Pairs(*torch.randn(2, 10, 2)), torch.arange(10) % 5
    settings = {**benchmark.SETTINGS, "hidden": (8,), "epochs": 2, "batch": 4}
    with torch.random.fork_rng():
        _, members = benchmark.fit(pairs, fold, settings)
    every = torch.stack([benchmark.information(guide, pairs) for guide in members]).double()
    found = benchmark.information_within(members, pairs, fold)
    for row in range(10):
        ratios = [every[k, row].exp() for k in range(5) if k != fold[row]]
        assert float(found[row]) == pytest.approx(math.log(sum(ratios) / 4), abs=1e-5)


def test_the_programs_keep_the_contract():
    box = benchmark.box
    spec = Spec(box(1), box(2), box(3), hidden=(8,))
    check_model(programs.SplineModel, spec)
    check_model(programs.NormalModel, spec)
    check_guide(programs.SplineGuide, programs.SplineModel, spec)
    mixture = programs.MixtureGuide([programs.SplineGuide(spec) for _ in range(3)])
    check_guide(mixture, programs.SplineModel, spec)


def test_a_fit_of_a_bivariate_normal_is_right_from_both_sides():
    task = TASKS["normal 1x1"]
    settings = {**benchmark.SETTINGS, "pairs": 2_000, "epochs": 3}
    row = benchmark.run(task, 3, settings)
    for name in ("lower", "upper", "estimate", "model", "ksg", "cca"):
        assert row[name] == pytest.approx(task.information, abs=0.1), name
    assert row["held"]


def test_the_neighbours_are_those_counted_one_by_one():
    x, y = drawn("normal 1x1", 40)
    x, y = ((v - v.mean(0)) / v.std(0) for v in (x, y))
    total = 0.0
    for i in range(len(x)):
        apart_x, apart_y = (x - x[i]).abs()[:, 0], (y - y[i]).abs()[:, 0]
        radius = torch.maximum(apart_x, apart_y).sort().values[3]
        total += sum(float(torch.digamma((apart < radius).sum().double())) for apart in (apart_x, apart_y))
    expected = float(torch.digamma(torch.tensor(3.0)) + math.log(1)) + float(torch.digamma(torch.tensor(40.0)))
    assert benchmark.ksg(x, y, 3) == pytest.approx(expected - total / len(x), abs=1e-5)


def test_bijections_keep_a_normal_source_and_put_the_largest_correlation_first():
    x, y = drawn("dense 5x5", 5_000)
    task = TASKS["dense 5x5"]
    to_action, to_future = benchmark.bijections(task.source(x), y)
    a, f = to_action(task.source(x)), to_future(y)
    torch.testing.assert_close(torch.cov(f.T), torch.eye(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(a.square().sum(-1), task.source(x).square().sum(-1).float())
    cross = a.T @ f / len(a)
    assert float(cross[0, 0]) == pytest.approx(math.sqrt(1 - math.exp(-2 * task.information)), abs=0.02)
    assert float(cross[1:, 1:].abs().max()) < 0.07


def test_the_script_keeps_its_rows(tmp_path):
    results = tmp_path / "rows.csv"
    quick = ("--only", "normal 1x1", "--seeds", "1", "--epochs", "0", "--results", results)
    first = run("mutual_information.py", *quick)
    assert "| normal 1x1 | 0.413 |" in first.stdout
    rows = results.read_text()
    assert rows.count("\n") == 2
    assert run("mutual_information.py", *quick).stdout == first.stdout
    assert results.read_text() == rows
