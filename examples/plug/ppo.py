"""A plain PPO loop in one file, and the three lines that give it an intrinsic reward.

    python examples/plug/ppo.py                   # CartPole, 40,000 steps, about half a minute
    python examples/plug/ppo.py --weight 0        # the same without

PPO is that of Schulman et al. (2017, arXiv 1707.06347): a clipped ratio, generalised advantages, one network each for
policy and value. The intrinsic reward is fitted to every rollout and read on it before the advantages are computed.
"""

import argparse

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from gio_pyro import IntrinsicReward

STEPS, COUNT, EPOCHS, BATCH = 256, 8, 8, 256
DISCOUNT, LAMBDA, CLIP, ENTROPY = 0.99, 0.95, 0.2, 0.01


def network(inputs: int, outputs: int) -> nn.Sequential:
    """Return two layers of 64 units."""
    return nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


def rollout(env: gym.vector.VectorEnv, policy: nn.Module, seen: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Take `STEPS` steps of each environment; returns samples `[T, N, ...]` and what is seen last."""
    keys = ("observations", "actions", "rewards", "terminateds", "truncateds", "next_observations")
    samples: dict[str, list[np.ndarray]] = {key: [] for key in keys}
    for _ in range(STEPS):
        with torch.no_grad():
            action = Categorical(logits=policy(torch.as_tensor(seen))).sample().numpy()
        after, reward, terminated, truncated, info = env.step(action)
        led_to = after.copy()
        for number in np.flatnonzero(terminated | truncated):  # the vector has begun another episode already
            led_to[number] = info["final_obs"][number]
        for key, value in zip(keys, (seen, action, reward, terminated, truncated, led_to), strict=True):
            samples[key].append(np.array(value))
        seen = after
    return {key: np.stack(values) for key, values in samples.items()}, seen


def advantages(samples: dict[str, np.ndarray], reward: np.ndarray, value: nn.Module) -> tuple[Tensor, Tensor]:
    """Return generalised advantages and the returns that values are fitted to, `[T, N]`."""
    with torch.no_grad():
        here, after = (
            value(torch.as_tensor(samples[key])).squeeze(-1).numpy() for key in ("observations", "next_observations")
        )
    gain = reward + DISCOUNT * after * ~samples["terminateds"] - here
    going_on = ~(samples["terminateds"] | samples["truncateds"])
    found, total = np.zeros_like(gain), np.zeros(COUNT)
    for step in reversed(range(STEPS)):
        total = gain[step] + DISCOUNT * LAMBDA * going_on[step] * total
        found[step] = total
    return torch.as_tensor(found, dtype=torch.float32), torch.as_tensor(found + here, dtype=torch.float32)


def improve(
    policy: nn.Module, value: nn.Module, optimiser: torch.optim.Optimizer, samples: dict[str, np.ndarray], *aim: Tensor
) -> None:
    """Take the epochs of one rollout; `aim` is advantages and returns."""
    state, action = (torch.as_tensor(samples[key]).flatten(0, 1) for key in ("observations", "actions"))
    advantage, target = (x.flatten() for x in aim)
    with torch.no_grad():
        old = Categorical(logits=policy(state)).log_prob(action)
    for rows in torch.stack([torch.randperm(len(state)) for _ in range(EPOCHS)]).reshape(-1, BATCH):
        pi = Categorical(logits=policy(state[rows]))
        ratio = (pi.log_prob(action[rows]) - old[rows]).exp()
        a = (advantage[rows] - advantage[rows].mean()) / (advantage[rows].std() + 1e-8)
        gained = torch.minimum(ratio * a, ratio.clamp(1 - CLIP, 1 + CLIP) * a).mean()
        missed = (value(state[rows]).squeeze(-1) - target[rows]).square().mean()
        optimiser.zero_grad()
        (0.5 * missed - gained - ENTROPY * pi.entropy().mean()).backward()
        nn.utils.clip_grad_norm_([*policy.parameters(), *value.parameters()], 0.5)
        optimiser.step()


def main() -> None:
    """Train, and print the mean length of what was balanced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--weight", type=float, default=0.05, help="reward units for a nat")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    vector = {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}
    env = gym.make_vec("CartPole-v1", num_envs=COUNT, vectorization_mode="sync", vector_kwargs=vector)
    policy, value = network(4, 2), network(4, 1)
    optimiser = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=1e-3)

    intrinsic = IntrinsicReward("CartPole-v1")
    seen, _ = env.reset(seed=0)
    for taken in range(STEPS * COUNT, options.steps + 1, STEPS * COUNT):
        samples, seen = rollout(env, policy, seen)
        intrinsic.update(samples)
        nats = intrinsic.compute(samples)
        improve(
            policy, value, optimiser, samples, *advantages(samples, samples["rewards"] + options.weight * nats, value)
        )
        episodes = max(int((samples["terminateds"] | samples["truncateds"]).sum()), 1)
        print(
            f"{taken:6,} steps: {STEPS * COUNT / episodes:5.0f} steps an episode, paid {nats.mean():+.3f} nats a step"
        )


if __name__ == "__main__":
    main()
