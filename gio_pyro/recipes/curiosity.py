"""Recipes whose intrinsic reward is curiosity: errors, disagreement and progress of a model."""

from types import MappingProxyType

from gio_pyro.recipes.recipe import Recipe

BESIDE_REWARD = MappingProxyType({"guide": "UniformGuide", "reward_weight": 1.0, "signal_weight": 0.01})
"""A soft actor-critic that is paid a signal beside the reward."""
TABLES = MappingProxyType({"model": "DirichletModel", "temperature": 0.002})
"""Counted transitions, whose uncertainty has a closed form, and a temperature for rewards of 1."""

IMAGINED = "Signal(dream_horizon=10, dream_share=1.0)"
"""An explorer that learns in rollouts of the model alone."""

CURIOSITY = (
    Recipe(
        name="icm",
        title="Intrinsic curiosity module",
        paper="Pathak, Agrawal, Efros and Darrell, 2017, arXiv 1705.05363",
        same="The error of a forward model in the features of an inverse model, beside the reward.",
        left_out="A3C with recurrent networks; the policy's gradient does not reach the features.",
        settings=MappingProxyType({**BESIDE_REWARD, "signal": "PredictionError(features='icm')"}),
        finite=TABLES,
    ),
    Recipe(
        name="selmo",
        title="SelMo, self-motivated exploration",
        paper="Groth et al., 2021, arXiv 2109.08603",
        same="The error of a model is the only reward, and it lags: it is that of a copy that is renewed now and then.",
        left_out="Squared errors instead of log-likelihoods; snapshots of the policy, kept as skills.",
        settings=MappingProxyType({"guide": "UniformGuide", "signal": "PredictionError(lag=500)"}),
        finite=MappingProxyType({**TABLES, "signal": "PredictionError(lag=50)"}),
    ),
    Recipe(
        name="emi",
        title="EMI, exploration with mutual information",
        paper="Kim et al., 2019, arXiv 1810.01176",
        same="Embeddings of states and actions share information and make the dynamics linear; what is not is paid "
        "beside the reward.",
        left_out="TRPO; the published weights of the terms.",
        settings=MappingProxyType({**BESIDE_REWARD, "signal": "LinearEmbedding"}),
        finite=TABLES,
    ),
    Recipe(
        name="director",
        title="Director, its exploration",
        paper="Hafner et al., 2022, arXiv 2206.04114",
        same="The error of an autoencoder of states rewards exploration, beside the reward, with a value of its own.",
        left_out="The hierarchy: a manager that chooses codes as goals of a worker; the world model of Dreamer.",
        settings=MappingProxyType({**BESIDE_REWARD, "signal": "ReconstructionError", "signal_value": True}),
        finite=TABLES,
    ),
    Recipe(
        name="rnd",
        title="Random network distillation",
        paper="Burda, Edwards, Storkey and Klimov, 2018, arXiv 1810.12894",
        same="The error of a network that learns the output of a random one, with a value function of its own.",
        left_out="PPO; the intrinsic return does not go on past the end of an episode.",
        settings=MappingProxyType({**BESIDE_REWARD, "signal": "RandomNetworkDistillation", "signal_value": True}),
        finite=TABLES,
    ),
    Recipe(
        name="max",
        title="Model-based active exploration",
        paper="Shyam, Jaśkowski and Gomez, 2019, arXiv 1810.12162",
        same="An explorer that maximises the ensemble's disagreement, a Jensen-Rényi divergence, in rollouts of it.",
        left_out="The explorer is not trained from scratch before each action.",
        settings=MappingProxyType(
            {
                "model": "EnsembleModel",
                "guide": "UniformGuide",
                "signal": "Disagreement",
                "explorer": "Signal(dream_horizon=5, dream_share=1.0)",
            }
        ),
        finite=TABLES,
    ),
    Recipe(
        name="plan2explore",
        title="Plan2Explore",
        paper="Sekar et al., 2020, arXiv 2005.05960",
        same="An explorer learns in imagination to go where the ensemble's means will disagree; the task policy learns "
        "from the same replay.",
        left_out="The world model of Dreamer: the ensemble predicts states instead of latent features.",
        settings=MappingProxyType(
            {
                "model": "EnsembleModel",
                "guide": "UniformGuide",
                "signal": "Disagreement(kind='variance')",
                "explorer": IMAGINED,
            }
        ),
        finite=MappingProxyType({**TABLES, "signal": "Disagreement"}),
    ),
    Recipe(
        name="lexa",
        title="LEXA, latent explorer achiever",
        paper="Mendonca et al., 2021, arXiv 2110.09514",
        same="One policy explores in imagination, another learns to reach states that were seen, by turns; the task "
        "policy learns from what both collect.",
        left_out="The world model of Dreamer; the achiever learns by hindsight instead of in imagination, and its "
        "reward is arrival instead of a learned distance.",
        settings=MappingProxyType(
            {
                "model": "EnsembleModel",
                "guide": "UniformGuide",
                "signal": "Disagreement(kind='variance')",
                "explorer": f"Goals(horizon=50, wander=50, explore='{IMAGINED}')",
            }
        ),
        finite=MappingProxyType({**TABLES, "signal": "Disagreement"}),
    ),
    Recipe(
        name="meee",
        title="MEEE, model-ensemble exploration and exploitation",
        paper="Yao et al., 2021, arXiv 2107.01825",
        same="Of a few actions of the policy the one is taken whose value and expected disagreement add up to most; "
        "the policy learns in imagination, too.",
        left_out="Imagined transitions all weigh the same, not less where the ensemble disagrees.",
        settings=MappingProxyType(
            {
                "model": "EnsembleModel",
                "guide": "UniformGuide",
                "signal": "Disagreement(kind='variance')",
                "explorer": "Optimistic(candidates=8)",
                "explorer_share": 1.0,
                "dream_horizon": 2,
                "dream_share": 0.5,
            }
        ),
        finite=MappingProxyType({**TABLES, "signal": "Disagreement"}),
    ),
    Recipe(
        name="gamma_progress",
        title="AWML, γ-progress",
        paper="Kim et al., 2020, arXiv 2007.07853",
        same="What a model gained in log-likelihood over a moving average of itself, the reward.",
        left_out="Models that are disentangled by agent, and their attention.",
        settings=MappingProxyType({"guide": "UniformGuide", "signal": "LearningProgress"}),
        finite=TABLES,
    ),
    Recipe(
        name="deep_icac",
        title="Deep ICAC",
        paper="Hafez, Weber, Kerzel and Wermter, 2019, arXiv 1810.11388",
        same="The progress of the model in the region of the state is paid beside the reward.",
        left_out="Regions whose number grows, with a model each; the features of an autoencoder.",
        settings=MappingProxyType({**BESIDE_REWARD, "signal": "RegionalProgress"}),
        finite=TABLES,
    ),
    Recipe(
        name="vime",
        title="VIME",
        paper="Houthooft et al., 2016, arXiv 1605.09674",
        same="The information that a transition gives about the weights of a Bayesian network, beside the reward.",
        left_out="TRPO; division by the median of former gains.",
        settings=MappingProxyType({**BESIDE_REWARD, "model": "BayesianModel", "signal": "InformationGain"}),
        finite=TABLES,
    ),
    Recipe(
        name="episodic_curiosity",
        title="Episodic curiosity through reachability",
        paper="Savinov et al., 2019, arXiv 1810.02274",
        same="Pays for states that cannot be reached in k steps from the memory of the episode.",
        left_out="PPO; residual networks over images.",
        settings=MappingProxyType({**BESIDE_REWARD, "signal": "Reachability"}),
        finite=TABLES,
    ),
)
"""Curiosity: error, disagreement, gained knowledge, and novelty within an episode."""
