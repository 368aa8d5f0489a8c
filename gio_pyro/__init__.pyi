from gio_pyro import adapters as adapters
from gio_pyro import callbacks as callbacks
from gio_pyro import diagnostics as diagnostics
from gio_pyro import empowerment as empowerment
from gio_pyro import envs as envs
from gio_pyro import errors as errors
from gio_pyro import explorers as explorers
from gio_pyro import futures as futures
from gio_pyro import guides as guides
from gio_pyro import inference as inference
from gio_pyro import models as models
from gio_pyro import planning as planning
from gio_pyro import programs as programs
from gio_pyro import recipes as recipes
from gio_pyro import signals as signals
from gio_pyro import tabular as tabular
from gio_pyro import testing as testing
from gio_pyro.adapters.intrinsic_reward import IntrinsicReward as IntrinsicReward
from gio_pyro.agent import GIO as GIO
from gio_pyro.agent import learn_seeds as learn_seeds
from gio_pyro.agent.imitation import imitate as imitate
from gio_pyro.settings import Settings as Settings
from gio_pyro.types import Seen as Seen
from gio_pyro.types import Spec as Spec
from gio_pyro.types import Transitions as Transitions
from gio_pyro.types import WorldSpec as WorldSpec

__version__: str
