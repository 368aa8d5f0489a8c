"""Figures: learning curves, maps of grid worlds, and the grid of an environment."""
