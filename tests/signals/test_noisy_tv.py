"""Which signals a television of noise holds: action 1 draws one of 8 futures evenly, action 0 is always the same.

Cost: under a second.
"""

from math import log
from typing import Any

import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro.models import DirichletModel
from gio_pyro.signals import Disagreement, InformationGain, LearningProgress, PredictionError
from gio_pyro.types import Spec, Transitions

from .worlds import fitted, rows

CHANNELS = 8
SPEC = Spec(Discrete(CHANNELS), Discrete(2), Discrete(CHANNELS))
SIGNALS = {
    "PredictionError": PredictionError,
    "Disagreement": Disagreement,
    "InformationGain": InformationGain,
    "LearningProgress": lambda source: LearningProgress(source, rate=0.9),
}


def watched(count: int, generator: torch.Generator) -> Transitions:
    """Noise half the time, from state 0."""
    action = torch.randint(2, (count,), generator=generator)
    channel = torch.randint(CHANNELS, (count,), generator=generator)
    return rows(torch.zeros_like(action), action, channel * action)


@pytest.fixture(scope="module")
def readings() -> dict[str, list[Any]]:
    """Each signal's mean on the noise and on the sure action, after 20 and after 40,000 observations."""
    generator, found = torch.Generator().manual_seed(0), {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        source = fitted(DirichletModel, SPEC)
        signals = {name: kind(source) for name, kind in SIGNALS.items()}
        for name in signals:
            found[name] = []
        for round_ in range(201):
            batch = watched(20 if round_ == 0 else 200, generator)
            source.model.observe(batch.state, batch.action, batch.next_state)
            for name, signal in signals.items():
                if round_ in (0, 200):
                    found[name].append([float(signal(batch[batch.action == a]).mean()) for a in (1, 0)])
                signal.update(batch)
    return found


def test_surprise_stays_with_the_noise_and_only_there(readings: dict[str, list[Any]]):
    noise, sure = readings["PredictionError"][1]
    assert noise == pytest.approx(log(CHANNELS), abs=0.01)
    assert sure < 0.01


@pytest.mark.parametrize("name", ["Disagreement", "InformationGain", "LearningProgress"])
def test_what_is_to_be_learned_runs_out(readings: dict[str, list[Any]], name: str):
    (first, _), (noise, sure) = readings[name]
    assert first > 0.03
    assert abs(noise) < 0.01
    assert abs(sure) < 0.01
