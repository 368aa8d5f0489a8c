"""Utilities without reference to reinforcement learning: argument checks, files, memory, random streams, threads."""
