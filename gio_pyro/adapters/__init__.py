"""Other people's loops with an intrinsic reward: Gymnasium's vectors, and the agents of Stable-Baselines3.

`gio_pyro.adapters.gymnasium` needs nothing more; `gio_pyro.adapters.stable_baselines` needs stable-baselines3.
"""
