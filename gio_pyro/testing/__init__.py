"""A conformance kit for one's own programs: what is wrong with a model or guide, in one readable message.

    gio.testing.check_model(MyModel, spec)
    gio.testing.check_guide(MyGuide, MyModel, spec)

Both return None when all is well and raise `ProgramError` with the first thing that is not.
"""

from gio_pyro.testing.guides import check_guide
from gio_pyro.testing.models import check_model

__all__ = ["check_guide", "check_model"]
