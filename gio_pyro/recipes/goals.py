"""Recipes whose explorers set goals."""

from types import MappingProxyType

from gio_pyro.recipes.recipe import Recipe

COORDINATES = "--env.observations coordinates"
"""Flag of grid worlds whose states are vectors."""
PARTS = MappingProxyType(
    {"guide": "UniformGuide", "signal": "RandomNetworkDistillation", "explorer": "Goals(parts='each')"}
)

GOALS = (
    Recipe(
        name="smorl",
        title="SMORL, goals for each object",
        paper="Zadaianchuk, Seitzer and Martius, 2021, arXiv 2011.14381",
        same="Goals leave all but one part of the state free, and the policy that reaches them learns by hindsight.",
        left_out="Objects found in pictures, and attention over them: parts are numbers of the state, here each by "
        "itself; goals are drawn by the signal instead of evenly.",
        settings=PARTS,
        environment="gio/SparseMaze-v0",
        flags=COORDINATES,
        needs="states that are vectors",
    ),
    Recipe(
        name="srics",
        title="SRICS, independently controllable goals",
        paper="Zadaianchuk, Martius and Yang, 2021, arXiv 2109.04150",
        same="Parts are drawn by what actions change in them, so that the agent does not strive for what it cannot "
        "control.",
        left_out="The graph of what parts do to each other, and the order of subgoals that follows from it; objects "
        "found in pictures.",
        settings=MappingProxyType({**PARTS, "explorer": "Goals(parts='each', controllable=True)"}),
        environment="gio/SparseMaze-v0",
        flags=COORDINATES,
        needs="states that are vectors",
    ),
)
"""Goals: what they are, and which of them are worth pursuing."""
