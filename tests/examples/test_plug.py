"""The examples of the plug run from the command line, briefly.

Cost: 15 s.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUG = Path(__file__).parents[2] / "examples" / "plug"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "says"),
    [
        (["ppo.py", "--steps", "4096"], ["2,048 steps: ", "4,096 steps: ", " nats a step"]),
        (["with_stable_baselines.py", "--steps", "1024"], ["PPO: return ", "seen 1,024 transitions", "DQN: return "]),
    ],
)
def test_an_example_runs(script: list[str], says: list[str]):
    done = subprocess.run(
        [sys.executable, str(PLUG / script[0]), *script[1:]],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert all(words in done.stdout for words in says)
