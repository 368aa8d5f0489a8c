"""The options of `gio train` are the fields of `Settings`, with their docstrings as help.

Cost: under a second.
"""

import ast
import contextlib
import inspect
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import gio_pyro.cli
import gio_pyro.settings
from gio_pyro.cli import training
from gio_pyro.cli.commands import COMMANDS
from gio_pyro.cli.flag_types import flag_type
from gio_pyro.cli.main import entry_point
from gio_pyro.cli.option_groups import flag, option_names
from gio_pyro.errors import InputError
from gio_pyro.settings import ALIASES, GROUPS, Settings
from tests.cli.shell import gio

SETTINGS = [option.name for option in fields(Settings)]
VALUES = {
    "temperature": ("0.5", 0.5), "discount": ("0.5", 0.5), "objective": ("elbo", "elbo"),
    "optim": ("SGD(lr=0.1)", "SGD(lr=0.1)"), "training": ("svi", "svi"),
    "intrinsic": ("replayed", "replayed"), "signal": ("Control", "Control"), "signal_weight": ("0.5", 0.5),
    "annealing": ("linear:1:0:500", "linear:1:0:500"),
    "reward_weight": ("0.5", 0.5), "signal_value": (None, True), "signal_discount": ("0.5", 0.5),
    "dream_horizon": ("2", 2), "dream_share": ("0.5", 0.5), "explorer": ("Signal", "Signal"),
    "planner": ("OneStep(draws=8)", "OneStep(draws=8)"), "replanned": ("3", 3),
    "explorer_share": ("0.25", 0.25), "learning_rate": ("0.01", 0.01), "hidden": ("8 4", (8, 4)),
    "learning_starts": ("7", 7), "train_freq": ("7", 7), "updates": ("2", 2), "gradient_steps": ("0", 0),
    "improvements": ("2", 2), "batch_size": ("16", 16), "buffer_size": ("999", 999), "samples": ("2", 2),
    "sweeps": ("5", 5), "target_rate": ("0.1", 0.1), "uniform_share": ("0", 0.0), "greedy": (None, True),
    "initial_value": ("neutral", "neutral"), "target_entropy": ("0.3", 0.3), "log_interval": ("50", 50),
    "compile": ("false", False), "critic": ("plain", "plain"), "bounded_policy": (None, True),
    "seed": ("9", 9), "burn_in": ("3", 3), "piece_length": ("40", 40),
    "pieces": ("3", 3), "world_objective": ("Trace_ELBO", "Trace_ELBO"), "information_weight": ("0.5", 0.5),
    "consistency_weight": ("0.5", 0.5), "marginal_draws": ("3", 3),
}  # fmt: skip
"""What is typed after the flag of each setting, and the value that arrives."""


@pytest.fixture(scope="module")
def boxes() -> dict[str, str]:
    """The help of `gio train`, by the heading of each box, without line breaks."""
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("COLUMNS", "100")
        assert gio("train", "--help") == 0
    printed.seek(0)
    plain = re.sub(r"\x1b\[[\d;]*m", "", printed.read())
    found = re.findall(r"╭─ ([\w ]+) ─+╮\n(.*?)╰─+╯", plain, flags=re.DOTALL)
    return {heading: " ".join(re.sub("[│─]", " ", box).split()) for heading, box in found}


def test_every_setting_is_a_flag_of_train():
    assert set(SETTINGS) <= set(option_names(COMMANDS["train"]))
    assert set(VALUES) == set(SETTINGS)


@pytest.mark.parametrize(("heading", "name"), [(heading, name) for heading in GROUPS for name in GROUPS[heading]])
def test_the_help_shows_every_setting_in_its_group(boxes: dict[str, str], heading: str, name: str):
    assert re.search(rf"(^| ){flag(name)}[ ,]", boxes[f"{heading} options"])


@pytest.mark.parametrize(
    ("heading", "text"),
    [
        ("Agent", "(default: 0.01 (tables), 0.05 (networks), 0.2 (continuous))"),
        ("Collection", "(default: 0 (tables), 1000 (networks and continuous))"),
        ("Networks", "(default: 128 128)"),
        ("Signal", "value function; by default --discount."),
        ("Agent", "the guide's own (its attribute objective), else sleep"),
        ("Collection", "(default: 128 (networks), 256 (continuous))"),
        ("Run", "--steps INT Environment steps to take"),
    ],
)
def test_the_help_shows_defaults_and_names_flags(boxes: dict[str, str], heading: str, text: str):
    assert text in boxes[f"{heading} options"]


@pytest.mark.parametrize("given", [*SETTINGS, *ALIASES])
def test_the_value_of_every_flag_arrives(monkeypatch: pytest.MonkeyPatch, capsys: Any, given: str):
    name = ALIASES.get(given, given)
    arrived: dict[str, Any] = {}

    def agent(*_: object, **settings: Any) -> None:
        arrived.update(settings)
        raise InputError("Expected an agent, but got settings.")

    monkeypatch.setattr(training, "GIO", agent)
    typed, value = VALUES[name]
    assert gio("train", "FrozenLake-v1", flag(given), *(typed or "").split()) == 2
    assert capsys.readouterr().err == "gio: Expected an agent, but got settings.\n"
    assert {key: arrived[key] for key in arrived if key in SETTINGS} == {name: value}
    assert type(arrived[name]) is type(value)


def test_every_type_of_a_setting_has_a_type_of_flag():
    for option in fields(Settings):
        flag_type(option.type)
    with pytest.raises(KeyError):
        flag_type(complex)


def help_texts(path: Path) -> Iterator[str]:
    """The docstrings of a module, those of fields included, and the helps of flags."""
    for node in ast.walk(ast.parse(path.read_text())):
        value = (
            node.value if isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "help") else None
        )
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield " ".join(value.value.split())


def test_no_help_text_is_written_twice():
    """Neither as a whole nor as a line of a command's `Args:`."""
    paths = [Path(inspect.getfile(gio_pyro.settings)), *Path(gio_pyro.cli.__file__).parent.glob("*.py")]
    written = Counter(text for path in paths for text in help_texts(path))
    assert {text: count for text, count in written.items() if count > 1} == {}
    documents = [inspect.getdoc(command) or "" for command in COMMANDS.values()]
    lines = Counter(line.strip() for text in documents for line in text.splitlines() if re.match(r"\s+\w+: ", line))
    assert {line: count for line, count in lines.items() if count > 1} == {}
    assert not [name for name in SETTINGS if f" {name}: " in documents[0]]


@pytest.mark.parametrize("words", [["--discount", "0.9", "--gamma", "0.8"], ["--tau=0.1", "--target-rate=0.2"]])
def test_a_setting_has_one_value(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert entry_point(["train", "FrozenLake-v1", *words]) == 2
    assert re.search(
        r"^gio: Expected --\S+ or --\S+, which mean the same, but got both; give one\.$", capsys.readouterr().err
    )
