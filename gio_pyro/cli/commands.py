"""The four commands, as typed functions: their arguments are the flags, their docstrings the help."""

import sys
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from gio_pyro import tabular
from gio_pyro.cli import report
from gio_pyro.cli.training import open_run, run_training
from gio_pyro.diagnostics import compare_with_exact, exact_world, judge
from gio_pyro.environments import make_env
from gio_pyro.errors import InputError
from gio_pyro.grid import grid_of
from gio_pyro.plots import empowerment_map, text_map


def train(
    env: Positional[str | None] = None,
    steps: int = 40_000,
    seed: int | None = None,
    out: Path | None = None,
    model: str | None = None,
    guide: str | None = None,
    future: str | None = None,
    objective: str | None = None,
    temperature: float | None = None,
    discount: float | None = None,
    uniform_share: float | None = None,
    device: str = "auto",
    resume: Path | None = None,
    quiet: bool = False,
) -> int:
    """Learn to act in an environment and leave a run folder. Takes about 20 seconds as it stands.

    Args:
        env: a Gymnasium environment id with Discrete observations and actions; FrozenLake-v1 by default.
        steps: environment steps to take; with --resume, further steps.
        seed: one seed for environment, programs and draws; 0 by default.
        out: the run folder, which must not exist; runs/ENV-001, -002, ... by default.
        model: the program p(F|s,a): a name, package.module:Name or file.py:Name; CategoricalModel by default.
        guide: the program q(a|s,F), which is the method: likewise; CategoricalGuide by default.
        future: what the agent is paid to control; NextState, the only one yet, by default.
        objective: what the guide is fitted to: elbo, joint_elbo, forward_kl, sleep or wake_sleep; what it asks for
            by default.
        temperature: reward units per nat; 0.01 by default.
        discount: in [0, 1); 0.99 by default.
        uniform_share: exploration: share of uniform actions while collecting; 0.2 by default.
        device: cpu, cuda or auto.
        resume: a run folder to go on with, with its own settings; an environment and programs of your own are named
            again.
        quiet: no progress bar; there is none either where standard error is no terminal.
    """
    settings = {
        "seed": seed,
        "objective": objective,
        "temperature": temperature,
        "discount": discount,
        "uniform_share": uniform_share,
    }
    if steps < 0:
        raise InputError(f"Expected a number of steps of at least 0, but got {steps}.")
    given = {name: value for name, value in settings.items() if value is not None}
    programs = {"model": model, "guide": guide}
    if resume is None:
        agent, folder = open_run(env, out, programs=programs, future=future, device=device, settings=given)
    else:
        fixed = given | {name: v for name, v in (("out", out), ("future", future)) if v is not None}
        if fixed:
            raise InputError(f"Expected --resume to keep the run's own settings, but got {', '.join(fixed)} as well.")
        agent, folder = report.load_run(resume, env=env, model=model, guide=guide, device=device)
        folder.rewind(agent.steps)
    return run_training(agent, folder, steps, progress_bar=sys.stderr.isatty() and not quiet)


def evaluate(
    run: Positional[Path],
    episodes: int = 100,
    deterministic: bool = False,
    seed: int | None = None,
    env: str | None = None,
    model: str | None = None,
    guide: str | None = None,
) -> int:
    """Play whole episodes with a trained agent and print what they returned, beside the exact value where known.

    Args:
        run: the run folder.
        episodes: how many to play.
        deterministic: always take the likeliest action.
        seed: of the first episode.
        env: the run's environment, if Gymnasium does not know it by itself.
        model: the run's model, if it is a program of your own.
        guide: the run's guide, likewise.
    """
    agent, _ = report.load_run(run, env=env, model=model, guide=guide)
    played = agent.evaluate(episodes, deterministic=deterministic, seed=seed)
    rows = [
        ("return, played", f"{played.mean:.4g} ± {played.standard_error:.2g} (standard error, {episodes} episodes)"),
        ("episode length", f"{sum(played.lengths) / len(played.lengths):.4g} steps"),
    ]
    if exact_world(agent) is not None:
        exact = compare_with_exact(agent)
        rows += [
            ("return, exact, drawn actions", f"{exact.return_learned:.4g}"),
            ("return, exact, optimal policy", f"{exact.return_optimal:.4g}"),
        ]
    print(report.table(rows))
    return 0


def diagnose(run: Positional[Path], env: str | None = None, model: str | None = None, guide: str | None = None) -> int:
    """Ask whether a run's numbers can be believed. Exit status 0: believe, 1: do not, 2: could not judge.

    Args:
        run: the run folder.
        env: the run's environment, if Gymnasium does not know it by itself.
        model: the run's model, if it is a program of your own.
        guide: the run's guide, likewise.
    """
    agent, _ = report.load_run(run, env=env, model=model, guide=guide)
    verdicts = judge(compare_with_exact(agent))
    print(
        report.table(
            [
                (
                    v.question,
                    f"{'yes' if v.believed else 'no'}: {v.figure} {v.value:+.4f} nats, threshold {v.threshold:g}",
                )
                for v in verdicts
            ]
        )
    )
    believed = all(v.believed for v in verdicts)
    print(f"\nVerdict: {'believe' if believed else 'do not believe'} the mutual information of {run}.")
    return 0 if believed else 1


def empowerment(
    env: Positional[str],
    horizon: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 3,
    out: Path | None = None,
) -> int:
    """Compute the exact n-step empowerment of every state from the environment's transition table.

    Args:
        env: a Gymnasium environment id with a transition table (toy-text).
        horizon: n, the number of open-loop actions.
        out: a PNG file for the map of a grid world; by default ENV-empowerment-N.png here. Never overwritten.
    """
    world = make_env(env)
    grid = grid_of(world)
    path = Path(f"{env.replace('/', '-')}-empowerment-{horizon}.png") if out is None else out
    if grid is not None or out is not None:
        report.require_new(path)
    nats = tabular.empowerment(tabular.TabularMDP.from_env(world), horizon)
    print(
        report.table(
            [
                (name, f"{value:.4f} nats = {value / 0.6931471805599453:.4f} bits")
                for name, value in (("least", nats.min()), ("mean", nats.mean()), ("most", nats.max()))
            ]
        )
    )
    if grid is None:
        print(f"{env} is not a grid with one state a cell: no map is drawn.", file=sys.stderr)
        return 0
    print(f"\n{text_map(grid, nats.tolist())}\n")
    empowerment_map(path, grid, nats.numpy(), horizon)
    print(f"map: {path}")
    return 0
