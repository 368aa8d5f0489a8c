"""A conformance kit for one's own programs: what is wrong with a model, a guide or a signal, in one readable message.

    gio.testing.check_model(MyModel, spec)
    gio.testing.check_guide(MyGuide, MyModel, spec)
    gio.testing.check_signal("my_file.py:MySignal", "CartPole-v1")

All return None when all is well and raise `ProgramError` with the first thing that is not.
"""

from gio_pyro.testing.guides import check_guide
from gio_pyro.testing.models import check_model
from gio_pyro.testing.signals import check_signal

__all__ = ["check_guide", "check_model", "check_signal"]
