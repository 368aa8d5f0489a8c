"""When the adapters of both libraries let a reward learn.

Cost: 3 s.
"""

from typing import Any

import pytest

from gio_pyro import IntrinsicReward
from gio_pyro.adapters.bonus import Bonus
from gio_pyro.errors import InputError


@pytest.mark.parametrize("every", [0, 1.5, "8"])
def test_updates_come_after_whole_numbers_of_steps(every: Any):
    with pytest.raises(InputError, match=r"^Expected update_every to be a whole number of at least 1, but got"):
        Bonus(IntrinsicReward("CartPole-v1", hidden=(4,)), 1.0, every)
