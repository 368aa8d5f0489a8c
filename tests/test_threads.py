"""One thread for small networks, the user's number of threads afterwards, and none of our own."""

from collections.abc import Iterator

import pytest
import torch
from tqdm import tqdm

import gio_pyro as gio
from gio_pyro.threads import few_threads


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
