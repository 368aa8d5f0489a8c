"""What every run imports, for the server that the processes of a sweep are forked from: once for all of them."""

import torch._dynamo  # noqa: F401  (Adam imports it)

import gio_pyro.cli.run_commands  # noqa: F401
from gio_pyro.diagnostics.arviz_versions import arviz

arviz()
