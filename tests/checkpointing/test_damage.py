"""Damaged checkpoints and agents that cannot be saved; loading never runs code of a file."""

import random
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import gio_pyro as gio
from gio_pyro import GIO
from gio_pyro.checkpointing import agent_state, file_format
from gio_pyro.errors import CheckpointError, GioError, InputError
from tests.agents import differences
from tests.cli.shell import gio as command

SMALL: dict[str, Any] = {"hidden": (8,), "learning_starts": 20, "batch_size": 8, "log_interval": 20}
FLIPS = 60

pytestmark = pytest.mark.filterwarnings("ignore::gio_pyro.errors.GioWarning")  # so short a run may well go astray


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The checkpoint of networks that have learned, with a signal that has an optimiser of its own."""
    folder = tmp_path_factory.mktemp("saved")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        GIO("CartPole-v1", signal="RandomNetworkDistillation", temperature="auto", **SMALL).learn(60).save(folder)
    return file_format.read(folder)


class TestBits:
    def test_a_single_bit_that_changed_is_noticed(self, tmp_path: Path, state: dict[str, Any]):
        """At evenly spaced places of the whole file: headers, the pickle, padding, numbers, directory and digest."""
        path = file_format.write(tmp_path, state)
        whole, bits = path.read_bytes(), random.Random(0)
        for number in range(FLIPS):
            place = number * (len(whole) - 1) // (FLIPS - 1)
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bits.randrange(8)
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError, match="damaged"):
                file_format.read(tmp_path)
        path.write_bytes(whole)
        assert differences(file_format.read(tmp_path), state) == []

    def test_an_archive_without_a_digest_is_held_to_its_checksums(self, tmp_path: Path, state: dict[str, Any]):
        path = tmp_path / file_format.NAME
        torch.save(state, path)
        assert differences(file_format.read(tmp_path), state) == []
        whole = bytearray(path.read_bytes())
        whole[whole.index(state["replay"]["rows"]["state"].numpy().tobytes()) + 5] ^= 4
        path.write_bytes(whole)
        with pytest.raises(CheckpointError, match="damaged"):
            file_format.read(tmp_path)

    @pytest.mark.parametrize("cut", [-1, -20, -60])
    def test_an_end_that_is_missing_is_noticed_or_changes_nothing(
        self, tmp_path: Path, state: dict[str, Any], cut: int
    ):
        path = file_format.write(tmp_path, state)
        path.write_bytes(path.read_bytes()[:cut])
        try:
            found = file_format.read(tmp_path)
        except CheckpointError:
            return
        assert differences(found, state) == []


def entries(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if isinstance(value, torch.Tensor)}


def first(part: dict[str, Any]) -> tuple[str, torch.Tensor]:
    return next((n, v) for n, v in entries(part).items() if v.is_floating_point() and v.numel())


TAMPERED: dict[str, Callable[[dict[str, Any]], Any]] = {
    **{
        f"{part} has {bad}": lambda s, part=part, bad=bad: first(s[part])[1].view(-1)[:1].fill_(bad)
        for part in ("model", "guide", "control", "temperature", "payment")
        for bad in (float("nan"), float("inf"))
    },
    "another dtype": lambda s: s["model"].update({first(s["model"])[0]: first(s["model"])[1].double()}),
    "another shape": lambda s: s["model"].update({first(s["model"])[0]: first(s["model"])[1][None]}),
    "a sparse tensor": lambda s: s["model"].update({first(s["model"])[0]: first(s["model"])[1].to_sparse()}),
    "a number for a tensor": lambda s: s["model"].update({first(s["model"])[0]: 1.0}),
    "moments that are NaN": lambda s: s["optimisers"]["programs"]["state"][0]["exp_avg"].fill_(float("nan")),
    "moments that are missing": lambda s: s["optimisers"]["programs"]["state"][0].pop("exp_avg"),
    "moments of another dtype": lambda s: s["optimisers"]["programs"]["state"][0].update(
        exp_avg=s["optimisers"]["programs"]["state"][0]["exp_avg"].half()
    ),
    "the signal's moments": lambda s: next(
        v for n, v in s["payment"].items() if n.endswith("_extra_state") and v is not None
    )["state"][0]["exp_avg_sq"].fill_(float("inf")),
    "a reward that is NaN": lambda s: s["replay"]["rows"]["reward"][:1].fill_(float("nan")),
    "rows that are missing": lambda s: s["replay"]["rows"].pop("reward"),
    "a view of one row": lambda s: s["replay"]["rows"].update(
        state=s["replay"]["rows"]["state"][:1].expand(len(s["replay"]["rows"]["reward"]), -1)
    ),
    "no stream": lambda s: s["random"].pop("cpu"),
    "a stream of another size": lambda s: s["playing"].update(cpu=s["playing"]["cpu"][:-1]),
    "text for a reward": lambda s: s.update(largest_reward="1.0"),
    "an infinite reward": lambda s: s.update(largest_reward=float("inf")),
    "a number for a switch": lambda s: s.update(sound=1),
    "returns of text": lambda s: s["collector"].update(returns=["1.0"]),
    "a seed of text": lambda s: s["collector"].update(next_seed="1"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path: Path, state: dict[str, Any], what: str):
    changed = torch.load(_written(tmp_path, state), weights_only=True)
    TAMPERED[what](changed)
    with pytest.raises(CheckpointError) as raised:
        agent_state.restore(GIO, changed, None, None, None, None, "cpu")
    assert str(raised.value).count("\n") == 0
    assert len(str(raised.value)) <= 300


def _written(folder: Path, state: dict[str, Any]) -> Path:
    return file_format.write(folder, state)


class TestSaving:
    def test_what_load_would_refuse_is_not_saved(self, tmp_path: Path):
        agent = GIO("CartPole-v1", **SMALL)
        agent.save(tmp_path)
        with torch.no_grad():
            next(agent.model.parameters()).view(-1)[0] = torch.nan
        with pytest.raises(
            CheckpointError, match=r"^Expected finite numbers, but model/\S+ has NaN or infinity; go on"
        ):
            agent.save(tmp_path)
        assert GIO.load(tmp_path).steps == 0

    @pytest.mark.parametrize(
        "wrap", [np.array, torch.tensor, np.float64, Decimal, Fraction], ids=lambda kind: kind.__name__
    )
    def test_numbers_of_any_library_come_in_as_pythons_own(self, tmp_path: Path, wrap: Callable[[Any], Any]):
        agent = GIO(
            "CartPole-v1", temperature=wrap("0.25") if wrap is Decimal else wrap(0.25), discount=wrap(0.5),
            hidden=np.array([8, 8]), batch_size=np.int64(8), seed=np.array(3), signal=np.str_("PredictionError"),
            signal_weight=wrap(0.5), compile=np.bool_(False), log_interval=torch.tensor(20),
        )  # fmt: skip
        plain = {type(value) for value in vars(agent.settings).values()}
        assert plain <= {int, float, str, bool, tuple, type(None)}
        assert agent.settings.hidden == (8, 8)
        assert {type(units) for units in agent.settings.hidden} == {int}
        agent.save(tmp_path)
        assert GIO.load(tmp_path).settings == agent.settings

    def test_numbers_of_futures_and_of_the_plug(self, tmp_path: Path):
        future = gio.futures.Return(np.int64(2), discount=np.float64(0.5), levels=np.array([0.5]))
        GIO("FrozenLake-v1", future=future).save(tmp_path)
        assert GIO.load(tmp_path).future == gio.futures.Return(2, discount=0.5, levels=(0.5,))
        reward = gio.IntrinsicReward("CartPole-v1", hidden=(np.int64(8),), seed=np.array(1), batch_size=torch.tensor(4))
        assert reward.spec.hidden == (8,)


class TestMemory:
    @pytest.mark.parametrize(
        "error",
        [MemoryError("no"), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("not enough memory: you tried")],
    )
    @pytest.mark.parametrize("where", ["torch.load", "fill"])
    def test_that_it_ran_out_is_not_called_another_program(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
    ):
        GIO("FrozenLake-v1").save(tmp_path)

        def out(*_: Any, **__: Any) -> None:
            raise error

        module, name = (torch, "load") if where == "torch.load" else (agent_state, "fill")
        monkeypatch.setattr(module, name, out)
        with pytest.raises(InputError, match=r"^Expected memory for"):
            GIO.load(tmp_path)


EVIL = """
from pathlib import Path
Path({mark!r}).write_text("imported")
import gymnasium
if "Evil-v0" not in gymnasium.registry:
    gymnasium.register("Evil-v0", "gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv")
class Own: pass
"""
WRAPPER = "gymnasium.wrappers:FlattenObservation"


class TestNamesOfAFile:
    """Only what the user names on this call is imported."""

    @pytest.fixture
    def mark(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "modules").mkdir()
        (tmp_path / "modules" / "evilmod.py").write_text(EVIL.format(mark=str(tmp_path / "mark")))
        monkeypatch.syspath_prepend(tmp_path / "modules")
        monkeypatch.delitem(sys.modules, "evilmod", raising=False)
        return tmp_path / "mark"

    @pytest.mark.parametrize(
        "change",
        [
            {"environment": {"id": "evilmod:CartPole-v1", "kwargs": {}}},
            {"environment": {"id": "evilmod:CartPole-v1", "kwargs": {}, "wrappers": [WRAPPER]}},
            {"environment": {"id": "evilmod:CartPole-v1", "kwargs": {}, "vector": {"num_envs": 1}}},
            {"environment": {"id": "CartPole-v1", "kwargs": {"entry_point": "evilmod:Own"}}},
            {"environment": {"id": "CartPole-v1", "kwargs": {}, "vector": {"vectorization_mode": "evilmod:Own"}}},
            {"environment": {"id": "CartPole-v1", "kwargs": {}, "wrappers": ["evilmod:Own"]}},
            {"programs": {"model": "evilmod:Own", "guide": "CategoricalNetworkGuide"}},
            {"programs": {"model": "CategoricalNetworkModel", "guide": "evilmod:Own"}},
            {"future": "evilmod:Own"},
            {"settings": {"signal": "evilmod:Own"}},
            {"settings": {"signal": "Control", "explorer": "evilmod:Own"}},
            {"settings": {"objective": "evilmod:Own"}},
        ],
        ids=str,
    )
    def test_nothing_is_imported_on_any_way(
        self, tmp_path: Path, mark: Path, state: dict[str, Any], change: Any, capsys: Any
    ):
        file_format.write(tmp_path, state | change | {"settings": state["settings"] | change.get("settings", {})})
        with pytest.raises(GioError):
            GIO.load(tmp_path)
        for words in (
            ["evaluate", tmp_path], ["evaluate", tmp_path, "--wrapper", WRAPPER], ["diagnose", tmp_path],
            ["train", "--resume", tmp_path, "--wrapper", WRAPPER], ["evaluate", tmp_path, "--env", "CartPole-v1"],
        ):  # fmt: skip
            assert command(*words) == 2
            assert capsys.readouterr().err.startswith("gio: Expected")
        assert not mark.exists()

    def test_what_is_named_is(self, tmp_path: Path, mark: Path):
        GIO("FrozenLake-v1").save(tmp_path)
        with pytest.raises(GioError):
            GIO.load(tmp_path, model="evilmod:Own")
        assert mark.exists()
        assert gym.registry.pop("Evil-v0")
