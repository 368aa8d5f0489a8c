"""Intrinsic rewards for other libraries: Gymnasium's vector environments and the agents of Stable-Baselines3.

`gio_pyro.adapters.gymnasium` has no further dependency; `gio_pyro.adapters.stable_baselines` needs stable-baselines3.
"""
