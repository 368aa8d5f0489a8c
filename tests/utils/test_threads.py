"""One thread for small networks; the user's number of threads is restored."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tqdm import tqdm

import gio_pyro as gio
from gio_pyro.cli import training
from gio_pyro.inference import Inference
from gio_pyro.utils.threads import few_threads
from tests.cli.shell import train


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("hidden", "threads"), [((), 1), ((128, 128), 1), ((512,), 1), ((64, 1024), 3)])
def test_small_networks_have_one_thread(hidden: tuple[int, ...], threads: int):
    with few_threads(hidden):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 3


def test_large_networks_have_the_users_threads_inside_a_command_of_one():
    with few_threads():
        assert torch.get_num_threads() == 1
        with few_threads((1024, 1024)):
            assert torch.get_num_threads() == 3
            with few_threads((8,)), few_threads((1024,)):
                assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(("hidden", "threads"), [("8", 1), ("1024", 3)])
def test_the_command_line_trains_large_networks_with_the_users_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str, threads: int
):
    seen: list[int] = []
    inside = Inference.step
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Inference, "step", lambda *given: (seen.append(torch.get_num_threads()), inside(*given))[1])
    monkeypatch.setattr(training, "BEFORE", 1)
    monkeypatch.setattr(training, "_finish", lambda *_: None)
    assert train("CartPole-v1", "--hidden", hidden, steps=136) == 0
    assert set(seen) == {threads}
    assert torch.get_num_threads() == 3


def test_the_threads_come_back_after_an_error():
    with pytest.raises(KeyError), few_threads((8,)):
        raise KeyError
    assert torch.get_num_threads() == 3


def test_an_agent_learns_with_one_thread_and_calls_back_with_the_users():
    seen: list[int] = []

    agent = gio.GIO("CartPole-v1", hidden=(8,), learning_starts=4, batch_size=4, log_interval=8)
    inside = agent.inference.step
    agent.inference.step = lambda *given: (seen.append(torch.get_num_threads()), inside(*given))[1]
    agent.learn(8, callback=lambda *_: seen.append(torch.get_num_threads()))
    assert set(seen[:-1]) == {1}
    assert seen[-1] == torch.get_num_threads() == 3


def test_learning_without_a_progress_bar_starts_no_thread(monkeypatch: pytest.MonkeyPatch):
    """tqdm's monitor shares a lock with every forked process: one that is killed while it holds it stops the others."""
    monkeypatch.setattr(tqdm, "monitor", None)
    agent = gio.GIO("CartPole-v1", hidden=(8,)).learn(8)
    assert tqdm.monitor is None
    agent.learn(8, progress_bar=True)
    assert tqdm.monitor is not None
