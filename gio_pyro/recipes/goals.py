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
        name="diayn",
        title="DIAYN, diversity is all you need",
        paper="Eysenbach et al., 2018, arXiv 1802.06070",
        same="A soft actor-critic over states and skills, a skill for each episode, rewarded by how well a "
        "discriminator tells it from the state: I(Z; S).",
        left_out="The policy learns from the whole replay, each transition with a skill drawn anew, not only the one "
        "that was meant; the agent's own policy learns the environment's reward from what skills did, instead of "
        "starting from the best of them.",
        settings=MappingProxyType({"guide": "UniformGuide", "explorer": "Skills(8)", "explorer_share": 1.0}),
        finite=MappingProxyType({"temperature": 0.01}),
        needs="states that are no images",
    ),
    Recipe(
        name="random_walk",
        title="Walk the random walk",
        paper="Mezghani et al., 2022, arXiv 2206.11733",
        same="A network learns from walks which states are within a few steps; goals are remembered states that are "
        "out of each other's reach, and reached where the network says so. In finite worlds reach is exact, along the "
        "transitions that were seen.",
        left_out="The reward is arrival, not the network's score; walks are pieces of all episodes, not only of "
        "uniform actions.",
        settings=MappingProxyType({**PARTS, "explorer": "Goals(among='walk')"}),
        flags=COORDINATES,
    ),
    Recipe(
        name="cc_rig",
        title="CC-RIG, contextual imagined goals",
        paper="Nair et al., 2020, arXiv 1910.11670",
        same="Goals are imagined by a conditional variational autoencoder, so that they share what the context cannot "
        "change, and are compared in its latent space.",
        left_out="Pictures; the context is the present state, not the first of the episode; the reward is arrival.",
        settings=MappingProxyType({**PARTS, "explorer": "Goals(among='latent', near=0.3)"}),
        flags=COORDINATES,
        needs="states that are vectors",
    ),
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
