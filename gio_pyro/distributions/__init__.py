"""Distributions: mixtures, action sequences, action masks, the tanh squash, Gaussian channels."""
