"""A conformance kit for user programs: checks of models, guides, worlds and signals, each with one readable error.

    gio.testing.check_model(MyModel, spec)
    gio.testing.check_guide(MyGuide, MyModel, spec)
    gio.testing.check_world_model(MyWorld, world_spec)
    gio.testing.check_filter(MyFilter, MyWorld, world_spec)
    gio.testing.check_signal("my_file.py:MySignal", "CartPole-v1")

All return None, or raise `ProgramError` for the first requirement that is violated.
"""

from gio_pyro.testing.guides import check_guide
from gio_pyro.testing.models import check_model
from gio_pyro.testing.signals import check_signal
from gio_pyro.testing.worlds import check_filter, check_world_model

__all__ = ["check_filter", "check_guide", "check_model", "check_signal", "check_world_model"]
