"""Stable-Baselines3's own agents with an intrinsic reward: nothing of theirs is changed.

    python examples/plug/with_stable_baselines.py          # PPO, then DQN, on CartPole: about a minute
    python examples/plug/with_stable_baselines.py --steps 2000

PPO uses a reward once, so its vector of environments adds the intrinsic reward to it. DQN replays, so its buffer stores
the environment's reward and computes the intrinsic one whenever it samples: it is never stale. In both the weight goes
from 0.1 reward units a nat to nothing, and what remains is the task.
"""

import argparse

from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from gio_pyro import IntrinsicReward
from gio_pyro.adapters.stable_baselines import IntrinsicReplayBuffer, IntrinsicVecEnv


def main() -> None:
    """Train both and print what they earn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    steps = parser.parse_args().steps
    weight = f"linear:0.1:0:{steps // 2}"

    venv = IntrinsicVecEnv(make_vec_env("CartPole-v1", n_envs=4, seed=0), IntrinsicReward("CartPole-v1"), weight=weight)
    ppo = PPO("MlpPolicy", venv, n_steps=256, seed=0, device="cpu").learn(steps)
    print(f"PPO: {updated(ppo)}, seen {venv.bonus.steps:,} transitions")

    dqn = DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", seed=0),
        learning_starts=min(1_000, steps // 2),
        replay_buffer_class=IntrinsicReplayBuffer,
        replay_buffer_kwargs={"reward": IntrinsicReward("CartPole-v1"), "weight": weight},
        seed=0,
        device="cpu",
    ).learn(steps)
    print(f"DQN: {updated(dqn)}, seen {dqn.replay_buffer.bonus.steps:,} transitions")


def updated(agent: PPO | DQN) -> str:
    """Return what an agent earns of the environment's own reward."""
    mean, deviation = evaluate_policy(agent, make_vec_env("CartPole-v1", seed=1), n_eval_episodes=20)
    return f"return {mean:.0f} ± {deviation:.0f} (20 episodes)"


if __name__ == "__main__":
    main()
