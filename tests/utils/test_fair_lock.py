"""The fair lock: order of threads, re-entrance and forks."""

import threading
import time

import pytest

from gio_pyro.utils.fair_lock import FairLock


def test_a_thread_may_take_it_again():
    lock = FairLock()
    with lock, lock:
        pass
    with lock:
        pass


def test_who_waits_comes_before_who_has_just_had_it():
    """A thread that gives the lock back and takes it at once would keep an ordinary one for itself."""
    lock, order, over = FairLock(), [], threading.Event()

    def greedy() -> None:
        while not over.is_set():
            with lock:
                order.append("greedy")
                time.sleep(0.001)

    thread = threading.Thread(target=greedy)
    thread.start()
    for _ in range(10):
        asked = len(order)
        with lock:
            order.append("patient")
        assert order[asked:].count("greedy") <= 2
    over.set()
    thread.join()


def test_it_is_given_back_after_an_error():
    lock = FairLock()
    with pytest.raises(KeyError), lock:
        raise KeyError
    taken = threading.Thread(target=lambda: lock.__enter__())
    taken.start()
    taken.join(5)
    assert not taken.is_alive()
