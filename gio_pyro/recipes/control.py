"""Recipes whose intrinsic reward is control: information of actions about what follows."""

from types import MappingProxyType

from gio_pyro.recipes.recipe import Recipe

CONTROL = (
    Recipe(
        name="gio",
        title="Generative intrinsic optimisation, one step",
        paper="arXiv 2310.08100",
        same="Reward, and the mutual information of the action and the next state at a price; model and guide are "
        "fitted together.",
        left_out="Nothing.",
        settings=MappingProxyType({}),
        finite=MappingProxyType({"temperature": 0.002}),
    ),
    Recipe(
        name="gio_trajectory",
        title="Generative intrinsic optimisation, trajectory bound",
        paper="arXiv 2310.08100, its bound on whole trajectories",
        same="Model and guide are fitted to the evidence lower bound of trajectories, on pieces of episodes.",
        left_out="Nothing. Given the states actions are independent, as in the paper's equation 8.",
        settings=MappingProxyType({"objective": "trajectory_elbo", "batch_size": 256}),
        finite=MappingProxyType({"temperature": 0.002}),
    ),
    Recipe(
        name="mirl",
        title="MIRL",
        paper="Grau-Moya, Leibfried and Vrancx, 2019, Soft Q-learning with mutual-information regularization, ICLR",
        same="The prior is the average policy, of tables a moving average, and its price follows the critic's loss.",
        left_out="Nothing.",
        needs="finitely many actions",
        settings=MappingProxyType({"guide": "MovingMarginalGuide"}),
        finite=MappingProxyType({"temperature": "loss:0.002:0.05"}),
    ),
    Recipe(
        name="soft_actor_critic",
        title="Soft actor-critic",
        paper="Haarnoja et al., 2018, arXiv 1812.05905",
        same="Twin critics with targets, a squashed normal policy, entropy at a temperature that is learned.",
        left_out="Layers of 256 units: here they have 128, and the critic has layer norm where actions are continuous.",
        settings=MappingProxyType({"guide": "UniformGuide", "temperature": "auto"}),
        finite=MappingProxyType({"temperature": 0.002}),
    ),
    Recipe(
        name="empowerment",
        title="Variational empowerment",
        paper="Mohamed and Rezende, 2015, arXiv 1509.08731",
        same="The reward is the capacity from sequences of actions to the state they lead to, by variational "
        "information maximisation.",
        left_out="Convolutional features; the agent acts by a learned policy instead of one step of planning.",
        settings=MappingProxyType({"signal": "Empowerment(2)", "guide": "UniformGuide"}),
        needs="finitely many actions",
        environment="gio/KlyubinMaze-v0",
    ),
    Recipe(
        name="discounted_empowerment",
        title="Discounted empowerment, as ESR",
        paper="Myers et al., 2024, arXiv 2411.02623",
        same="The reward is the information of the action about a state of its discounted future, without any other.",
        left_out="Contrastive successor representations, for which model and guide stand here; the assisted human.",
        settings=MappingProxyType({"future": "DiscountedState(5, 0.8)", "reward_weight": 0.0, "temperature": 1.0}),
    ),
    Recipe(
        name="goal_directed_empowerment",
        title="Goal-directed empowerment",
        paper="Catenacci Volpi and Polani, 2020, IEEE Transactions on Cognitive and Developmental Systems",
        same="Reward and the empowerment of the states on the way add up at a price, so that the goal is reached with "
        "options kept open.",
        left_out="How the paper trades one against the other, and goals that change: only its abstract was at hand.",
        settings=MappingProxyType(
            {"signal": "Empowerment(2)", "guide": "UniformGuide", "reward_weight": 1.0, "signal_weight": 0.002}
        ),
        finite=MappingProxyType({"temperature": 0.002}),
        needs="finitely many actions",
    ),
    Recipe(
        name="generative_agent",
        title="The generative agent",
        paper="Model-based reinforcement learning as inference (theory, section 6)",
        same="A latent state is inferred while acting, its model learned after, and all terms of the bound are paid.",
        left_out="Planning, which is a setting of its own: --planner.",
        settings=MappingProxyType({"world_model": "RecurrentStateSpace"}),
        environment="gio/PendulumAngle-v0",
        flags="--steps 10000",
        needs="observations that are vectors or images",
    ),
)
"""Control and its relatives: what the policy's log-probabilities are compared with."""
