"""Rewards of every signal do not depend on how trajectories are batched; one that mixes episodes is refused.

Cost: 5 s.
"""

from pathlib import Path

import pytest

from gio_pyro.errors import ProgramError
from gio_pyro.signals import NAMES
from gio_pyro.testing import check_signal

MODELS = {
    "FrozenLake-v1": {"Disagreement": "DirichletModel", "InformationGain": "DirichletModel"},
    "CartPole-v1": {"Disagreement": "EnsembleModel", "InformationGain": "BayesianModel"},
}


@pytest.mark.parametrize("name", [*NAMES, "Reachability(near=1)", "PredictionError(features='icm')"])
@pytest.mark.parametrize("world", list(MODELS))
def test_trajectories_are_paid_the_same_however_they_come(name: str, world: str):
    check_signal(name, world, model=MODELS[world].get(name))


OWN = """
import torch
from gio_pyro.signals import Signal


class Steps(Signal):
    \"\"\"How many transitions of its episode came before each.\"\"\"

    episodic = True

    def read(self, rows):
        every = self.fitted.replay.all()
        before = (every.episode == rows.episode[:, None]) & (every.time < rows.time[:, None])
        return before.sum(1).float()


class Mixed(Signal):
    \"\"\"How many came since the last one that ended an episode, whichever environment's.\"\"\"

    def __init__(self, fitted):
        super().__init__(fitted)
        self.at = {}

    def observe(self, rows):
        for time, over in zip(rows.time.tolist(), (rows.terminated | rows.truncated).tolist()):
            last = self.at.get(time - 1, (0, True))
            self.at[time] = (0 if last[1] else last[0] + 1, over)

    episodic = True

    def read(self, rows):
        return torch.tensor([float(self.at.get(time, (0, 0))[0]) for time in rows.time.tolist()])
"""


def test_so_are_those_of_ones_own_and_a_mixed_memory_is_found(tmp_path: Path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    check_signal(f"{path}:Steps", "CartPole-v1")
    with pytest.raises(ProgramError, match=r"^Expected Mixed to pay the same .*; keep a memory for each rows\.episode"):
        check_signal(f"{path}:Mixed", "CartPole-v1")
