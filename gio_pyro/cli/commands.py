"""The four commands, as typed functions: their arguments are the flags, their docstrings the help."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import tyro
from tyro.conf import Positional

from gio_pyro import diagnostics, tabular
from gio_pyro.checkpointing import file_format
from gio_pyro.cli import report
from gio_pyro.cli.learned_empowerment import learned_empowerment
from gio_pyro.cli.training import (
    CHECKPOINT_EVERY,
    DEFAULT_ENVIRONMENT,
    Place,
    Plan,
    default_steps,
    open_run,
    planned,
    run_training,
)
from gio_pyro.cli.usage import Int, MaybeFloat, MaybeInt, MaybeInts, MaybePath, MaybeText, Repeated, RunPath, flag
from gio_pyro.cli.worlds import another, parsed, several
from gio_pyro.collection import make_env
from gio_pyro.diagnostics import compare_with_exact, exact_world
from gio_pyro.diagnostics.html_report import page
from gio_pyro.errors import InputError
from gio_pyro.plotting.grid import grid_of
from gio_pyro.plotting.plots import empowerment_map, text_map

Environment = Annotated[str, tyro.conf.arg(metavar="ENV")]
Arguments = Annotated[Repeated, tyro.conf.arg(metavar="NAME=VALUE", help_behavior_hint="")]


def train(
    env: Positional[Annotated[MaybeText, tyro.conf.arg(metavar="ENV", help_behavior_hint="")]] = None,
    steps: MaybeInt = None,
    seed: MaybeInt = None,
    out: MaybePath = None,
    model: MaybeText = None,
    guide: MaybeText = None,
    future: MaybeText = None,
    objective: MaybeText = None,
    intrinsic: MaybeText = None,
    temperature: MaybeText = None,
    discount: MaybeFloat = None,
    signal: MaybeText = None,
    signal_weight: MaybeText = None,
    reward_weight: MaybeFloat = None,
    signal_value: bool = False,
    signal_discount: MaybeFloat = None,
    dream_horizon: MaybeInt = None,
    dream_share: MaybeFloat = None,
    explorer: MaybeText = None,
    explorer_share: MaybeFloat = None,
    train_freq: MaybeInt = None,
    learning_rate: MaybeFloat = None,
    hidden: MaybeInts = None,
    uniform_share: MaybeFloat = None,
    greedy: bool = False,
    env_arg: Arguments = (),
    wrapper: Repeated = (),
    envs: MaybeInt = None,
    compile: bool = False,
    device: str = "auto",
    checkpoint_every: MaybeInt = None,
    resume: MaybePath = None,
    quiet: bool = False,
) -> int:
    """Learn to act in an environment and leave a run folder. As it stands: Pendulum-v1, in about 3 minutes.

    Args:
        env: a Gymnasium environment id, or module:id where a module registers it; Pendulum-v1 by default.
        steps: environment steps to take; 40,000 in finite worlds and 6,000 in others by default. With --resume,
            further steps; what is left of those asked for by default, and none of a finished run.
        seed: one seed for environment, programs and draws; 0 by default.
        out: the run folder, which must not exist; runs/ENV-001, -002, ... by default.
        model: the program p(F|s,a): a name, package.module:Name or file.py:Name; one that fits the spaces by default.
        guide: the program q(a|s,F), which is the method: likewise.
        future: what the agent is paid to control: NextState (the default), "StateAfter(3)", "Return(50, 0.99)", ...
            (see gio_pyro.futures), or package.module:Name or file.py:Name of your own.
        objective: what the guide is fitted to: elbo, joint_elbo, forward_kl, sleep, wake_sleep, trajectory_elbo or
            weighted_trajectory_elbo; what it asks for by default.
        intrinsic: where the guide is read: on imagined futures (the default) or on replayed ones.
        temperature: reward units per nat: a number, linear:FROM:TO:STEPS, auto or auto:START, which learns it,
            or loss:START:RATE, which follows the critic's loss.
        discount: in [0, 1); 0.99 by default.
        signal: what transitions are paid besides: Empowerment(3), InformationGain, RandomNetworkDistillation, ... (see
            gio_pyro.signals), or file.py:Name of your own. It drives alone unless --reward-weight is given.
        signal_weight: reward units for each unit of the signal: a number, or linear:FROM:TO:STEPS; 1 by default.
        reward_weight: scale of the environment's reward; 1 by default, 0 with a signal. 0 without a signal is
            intrinsic control by itself: the reward is not counted.
        signal_value: give the signal a value function of its own, added to the task's when the policy is improved,
            instead of a part in the reward.
        signal_discount: of the signal's own value, in [0, 1); that of the task by default.
        dream_horizon: steps that the policy is rolled out in the model, to learn from these too; none by default.
        dream_share: of such dreamed transitions in what the policy learns from, in (0, 1].
        explorer: another policy that collects for this one: Signal, "Goals(horizon=20)" or file.py:Name of your own.
            The signal and its weights are then the explorer's, and this policy is paid the environment's reward.
        explorer_share: share of the environment steps that the explorer takes, by whole turns; 0.5 by default.
        train_freq: environment steps between updates; 500 in finite worlds, 1 with continuous actions and 4 in others
            by default. An explorer changes what it does as often.
        learning_rate: Adam's step size of networks; 0.001 by default.
        hidden: units of each hidden layer; 128 128 by default.
        uniform_share: exploration: share of uniform actions while collecting; 0.2 in finite worlds, 0.05 in others
            with finitely many actions and 0 with continuous ones by default. Guides that offer actions to explore with
            (MovingMarginalGuide) replace the uniform ones.
        greedy: collect the policy's likeliest actions otherwise, instead of drawing from it; finitely many actions.
        env_arg: an argument of the environment, which may also be written --env.NAME=VALUE; the value is read as JSON
            where it is JSON, as text where not.
        wrapper: package.module:Name of a wrapper put around the environment; may be given several times, the
            innermost first.
        envs: environments stepped together; 1 by default.
        compile: compile the update of networks: about a minute once, then 1.6 times as fast or more.
        device: cpu, cuda or auto.
        checkpoint_every: least environment steps between checkpoints, 5,000 by default; one is written with the next
            report, every 500 steps, and at the end, also where Ctrl-C, SIGTERM or SIGHUP end it.
        resume: a run folder to go on with, with its own settings; an environment that a module registers, wrappers
            and programs, futures, signals and explorers of your own are named again.
        quiet: no progress bar; there is none either where standard error is no terminal.
    """
    settings = {
        "seed": seed,
        "objective": objective,
        "intrinsic": intrinsic,
        "temperature": None if temperature is None else number_or_text(temperature),
        "discount": discount,
        "signal": signal,
        "signal_weight": None if signal_weight is None else number_or_text(signal_weight),
        "reward_weight": reward_weight,
        "signal_value": signal_value or None,
        "signal_discount": signal_discount,
        "dream_horizon": dream_horizon,
        "dream_share": dream_share,
        "explorer": explorer,
        "explorer_share": explorer_share,
        "train_freq": train_freq,
        "learning_rate": learning_rate,
        "hidden": hidden,
        "uniform_share": uniform_share,
        "greedy": greedy or None,
        "compile": compile or None,
    }
    for name, value, least in (("steps", steps, 0), ("checkpoint_every", checkpoint_every, 1)):
        if value is not None and value < least:
            raise InputError(f"Expected {flag(name)} to be at least {least}, but got {value}.")
    given = {name: value for name, value in settings.items() if value is not None}
    programs = {"model": model, "guide": guide}
    if resume is None:
        place = Place(DEFAULT_ENVIRONMENT if env is None else env, parsed(env_arg), wrapper, several(envs))
        agent, folder = open_run(place, out, programs=programs, future=future, device=device, settings=given)
        plan = Plan(default_steps(agent) if steps is None else steps, checkpoint_every or CHECKPOINT_EVERY)
    else:
        others = (("out", out), ("env_arg", env_arg or None), ("envs", envs))
        kept = {name: value for name, value in given.items() if name not in ("signal", "explorer")}
        fixed = kept | {name: value for name, value in others if value is not None}
        if fixed:
            flags = ", ".join(map(flag, fixed))
            raise InputError(f"Expected --resume to keep the run's own settings, but got {flags} as well.")
        again = {"model": model, "guide": guide, "future": future, "signal": signal, "explorer": explorer}
        agent, folder = report.load_run(resume, env=env, wrappers=wrapper, device=device, **again)
        folder.claim()
        plan = planned(agent, folder, steps, checkpoint_every)
        folder.rewind(agent.steps)
    bar = sys.stderr.isatty() and not quiet
    try:
        return run_training(agent, folder, plan, progress_bar=bar)
    except (Exception, KeyboardInterrupt) as error:
        saved = isinstance(error, KeyboardInterrupt) and (folder.path / file_format.NAME).exists()
        if resume is None and not agent.steps and not saved:
            folder.remove()
        raise
    finally:
        folder.close()


def number_or_text(given: str) -> float | str:
    """Return the number that a text is, or the text where it is none."""
    try:
        return float(given)
    except ValueError:
        return given


def evaluate(
    run: Positional[RunPath],
    episodes: Int = 100,
    deterministic: bool = False,
    seed: MaybeInt = None,
    env: MaybeText = None,
    wrapper: Repeated = (),
    environment: MaybeText = None,
    env_arg: Arguments = (),
    model: MaybeText = None,
    guide: MaybeText = None,
    future: MaybeText = None,
    signal: MaybeText = None,
    explorer: MaybeText = None,
) -> int:
    """Play whole episodes with a trained agent and print what they returned, beside the exact value where known.

    Args:
        run: the run folder.
        episodes: how many to play.
        deterministic: always take the likeliest action.
        seed: of the first episode.
        env: the run's environment, if Gymnasium does not know it by itself: its id, or module:id.
        wrapper: the run's wrappers, if there are any, the innermost first.
        environment: another environment to play in, with the same spaces: its id, or module:id. The wrappers are put
            around it too.
        env_arg: an argument of the environment to play in, which may also be written --env.NAME=VALUE; without
            --environment, of the run's own.
        model: the run's model, if it is a program of your own.
        guide: the run's guide, likewise.
        future: the run's future, likewise.
        signal: the run's signal, likewise.
        explorer: the run's explorer, likewise.
    """
    again: dict[str, Any] = {"model": model, "guide": guide, "future": future, "signal": signal, "explorer": explorer}
    agent, _ = report.load_run(run, env=env, wrappers=wrapper, **again)
    other = another(agent.env, environment, parsed(env_arg), wrapper)
    played = agent.evaluate(episodes, deterministic=deterministic, seed=seed, environment=other)
    rows = [
        ("return, played", report.mean_of(played)),
        ("episode length", f"{sum(played.lengths) / len(played.lengths):.4g} steps"),
    ]
    if other is None and exact_world(agent) is not None:
        exact = compare_with_exact(agent)
        rows += [
            ("return, exact, drawn actions", f"{exact.return_learned:.4g}"),
            ("return, exact, optimal policy", f"{exact.return_optimal:.4g}"),
        ]
    print(report.table(rows))
    return 0


def diagnose(
    run: Positional[RunPath],
    env: MaybeText = None,
    wrapper: Repeated = (),
    environment: MaybeText = None,
    env_arg: Arguments = (),
    model: MaybeText = None,
    guide: MaybeText = None,
    future: MaybeText = None,
    signal: MaybeText = None,
    explorer: MaybeText = None,
) -> int:
    """Ask whether a run's numbers can be believed. Exit status 0: believe, 1: do not, 2: could not judge.

    The answers, in words and pictures, are written into the run folder as one page, diagnosis.html.

    Args:
        run: the run folder.
        env: the run's environment, if Gymnasium does not know it by itself: its id, or module:id.
        wrapper: the run's wrappers, if there are any, the innermost first.
        environment: another environment to play in, with the same spaces: its id, or module:id. The wrappers are put
            around it too.
        env_arg: an argument of the environment to play in, which may also be written --env.NAME=VALUE; without
            --environment, of the run's own.
        model: the run's model, if it is a program of your own.
        guide: the run's guide, likewise.
        future: the run's future, likewise.
        signal: the run's signal, likewise.
        explorer: the run's explorer, likewise.
    """
    again: dict[str, Any] = {"model": model, "guide": guide, "future": future, "signal": signal, "explorer": explorer}
    agent, folder = report.load_run(run, env=env, wrappers=wrapper, **again)
    other = another(agent.env, environment, parsed(env_arg), wrapper)
    found = diagnostics.diagnose(agent, environment=other)
    print(report.table([(verdict.question, str(verdict)) for verdict in found.verdicts]))
    title = f"Diagnosis of {folder.path.name}" + ("" if other is None else f", judged in {other}")
    path = folder.write_text("diagnosis.html", page(agent, found, title))
    print(f"\nVerdict: {found.conclusion} of {run}. {found.remark}".rstrip())
    print(f"page: {path}")
    return 0 if found.believed else 1


def empowerment(
    env: Positional[Environment],
    horizon: Annotated[Int, tyro.conf.arg(aliases=["-n"])] = 3,
    variational: bool = False,
    steps: Int = 200_000,
    updates: Int = 4_000,
    seed: Int = 0,
    out: MaybePath = None,
    env_arg: Arguments = (),
) -> int:
    """Compute the n-step empowerment of every state: exactly from the transition table, or learned by acting.

    Args:
        env: a Gymnasium environment id; with a transition table (toy-text) unless it is learned.
        horizon: n, the number of open-loop actions.
        variational: learn it by variational information maximisation, from steps in the environment alone: a minute or
            two, and a cost that grows linearly in n. Where there is a table, the exact value is printed beside it.
        steps: environment steps to learn from.
        updates: gradient steps.
        seed: of what is learned.
        out: a PNG file for the map of a grid world; by default ENV-empowerment-N.png here. Never overwritten.
        env_arg: an argument of the environment, which may also be written --env.NAME=VALUE.
    """
    arguments = parsed(env_arg)
    world = make_env(env, **arguments)
    grid = grid_of(world)
    path = Path(f"{env.replace('/', '-')}-empowerment-{horizon}.png") if out is None else out
    if grid is not None or out is not None:
        report.require_new(path)
    if variational:
        nats = learned_empowerment(world, env, arguments, horizon, steps=steps, updates=updates, seed=seed)
    else:
        nats = tabular.empowerment(tabular.TabularMDP.from_env(world), horizon)
    print(report.table(report.nats_rows(nats[~nats.isnan()])))
    if grid is None:
        print(f"{env} is not a grid with one state a cell: no map is drawn.", file=sys.stderr)
        return 0
    print(f"\n{text_map(grid, nats.tolist())}\n")
    empowerment_map(path, grid, nats.numpy(), horizon)
    print(f"map: {path}")
    return 0


COMMANDS: Mapping[str, Callable[..., int]] = MappingProxyType(
    {"train": train, "evaluate": evaluate, "diagnose": diagnose, "empowerment": empowerment}
)
