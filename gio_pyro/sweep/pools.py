"""Where the runs of a sweep take place: processes of this machine, a Ray cluster, or Slurm.

Ray and Slurm need a file system that all machines share, and this library on each of them.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from gio_pyro.errors import InputError, describe_error
from gio_pyro.sweep.attempts import FAILED, STOPPED, Outcome, complete_run
from gio_pyro.sweep.processes import Processes
from gio_pyro.sweep.runs import Run

CANCELLED = ("CancelledError", "TaskCancelledError", "WorkerCrashedError", "UncompletedJobError")
"""Errors of futures, Ray and submitit for runs that did not come to their end."""
SCALE_ADVICE = "pip install 'gio-pyro[scale]'"


class Pool(Protocol):
    """Carries out runs, as many at once as it has room for."""

    def submit(self, run: Run) -> "Future[Outcome]":
        """Carry out a run when there is room."""
        ...

    def stop(self) -> None:
        """Let the runs that take place save and end, and begin no others."""
        ...

    def close(self) -> None:
        """Give back what the pool holds, after its runs have ended."""
        ...


class LocalPool:
    """Processes of this machine.

    Args:
        processes: what starts them.
        jobs: runs at once.
    """

    def __init__(self, processes: Processes, jobs: int) -> None:
        self.processes = processes
        self.threads = ThreadPoolExecutor(jobs, thread_name_prefix="run")

    def submit(self, run: Run) -> "Future[Outcome]":
        """Carry out a run when one of the jobs is free."""
        return self.threads.submit(complete_run, run, self.processes.start, lambda: self.processes.stopping)

    def stop(self) -> None:
        """Let the runs that take place save and end, and begin no others."""
        self.processes.stop()

    def close(self) -> None:
        """Stop what still runs, which is nothing unless the sweep failed, and wait for the threads."""
        self.processes.stop()
        self.threads.shutdown(cancel_futures=True)


class RayPool:
    """Tasks of a Ray cluster, with one processor each.

    Args:
        processes: what starts a run, on the machine that Ray chose.
        address: of the cluster: "auto", "ray://HOST:PORT", or None for one on this machine.
        jobs: processors of a cluster on this machine; None takes all.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, processes: Processes, address: str | None, jobs: int | None) -> None:
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise InputError(f"Expected Ray for --on, but it is not installed; {SCALE_ADVICE}.") from error
        here = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR", **here)
        except Exception as error:  # of many kinds: addresses, time-outs, versions
            raise InputError(f"Expected a Ray cluster at {address}, but got {describe_error(error)}.") from error
        self.ray = ray
        self.task = ray.remote(max_retries=3)(_carried_out)
        self.processes = processes
        self.references: list[Any] = []

    def submit(self, run: Run) -> "Future[Outcome]":
        """Carry out a run when the cluster has a processor."""
        reference = self.task.options(name=run.name).remote(run, self.processes)
        self.references.append(reference)
        found: Future[Outcome] = reference.future()
        return found

    def stop(self) -> None:
        """Interrupt all tasks; a run whose task has gone saves and ends."""
        for reference in self.references:
            self.ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster."""
        self.ray.shutdown()


class SlurmPool:
    """Jobs of Slurm, submitted with submitit, with one processor each.

    Args:
        processes: what starts a run, on the machine that Slurm chose.
        folder: where submitit keeps its scripts and logs.
        options: those of the jobs by name, such as `partition` or `time`, as texts.

    Raises:
        InputError: submitit or Slurm is not installed.
    """

    def __init__(self, processes: Processes, folder: Path, options: dict[str, str]) -> None:
        try:
            submitit: Any = import_module("submitit")
        except ImportError as error:
            raise InputError(f"Expected submitit for --on slurm, but it is not installed; {SCALE_ADVICE}.") from error
        try:
            self.executor: Any = submitit.SlurmExecutor(folder=folder)
        except RuntimeError as error:
            raise InputError(f"Expected Slurm for --on slurm, but got {describe_error(error)}.") from error
        self.executor.update_parameters(**{"cpus_per_task": 1, "time": 24 * 60} | options)
        self.processes = processes
        self.waiting = ThreadPoolExecutor(64, thread_name_prefix="slurm")
        self.jobs: list[Any] = []

    def submit(self, run: Run) -> "Future[Outcome]":
        """Submit a job."""
        job = self.executor.submit(_carried_out, run, self.processes)
        self.jobs.append(job)
        return self.waiting.submit(job.result)

    def stop(self) -> None:
        """Cancel all jobs; Slurm sends those that run a signal upon which they save."""
        for job in self.jobs:
            job.cancel()

    def close(self) -> None:
        """Wait for the threads that wait for jobs."""
        self.waiting.shutdown(wait=False, cancel_futures=True)


def pool_named(name: str | None, processes: Processes, jobs: int | None, folder: Path) -> Pool:
    """Return the pool of a name.

    Args:
        name: None for processes of this machine, "ray" for a Ray cluster on it, "auto" or "ray://HOST:PORT" for
            another, "slurm" or "slurm:partition=gpu,time=60" for Slurm.
        processes: what starts a run.
        jobs: runs at once on this machine.
        folder: that of the sweep.

    Raises:
        InputError: an unknown name, or a library that is not installed.
    """
    if name is None:
        return LocalPool(processes, 1 if jobs is None else jobs)
    if name == "ray":
        return RayPool(processes, None, jobs)
    if name == "auto" or name.startswith("ray://"):
        return RayPool(processes, name, None)
    kind, _, options = name.partition(":")
    pairs = [option.partition("=") for option in options.split(",") if option]
    if kind != "slurm" or not all(key.isidentifier() and value for key, _, value in pairs):
        raise InputError(
            'Expected --on to be ray, auto, ray://HOST:PORT, slurm or "slurm:partition=NAME,time=60", but got '
            f"{name!r}; leave it out for this machine."
        )
    return SlurmPool(processes, folder / "slurm", {key: value for key, _, value in pairs})


def outcome_of(ended: "Future[Outcome]") -> Outcome:
    """Return how a run ended, also where its machine was lost or its job cancelled."""
    try:
        return ended.result()
    except BaseException as error:  # cancellation is of another base class
        if type(error).__name__ in CANCELLED:
            return Outcome(STOPPED)
        return Outcome(FAILED, describe_error(error) if isinstance(error, Exception) else type(error).__name__)


def _carried_out(run: Run, processes: Processes) -> Outcome:
    return complete_run(run, processes.start)
