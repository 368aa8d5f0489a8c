"""Distributions and maps between them: mixtures, sequences, action masks, the tanh squash, Gaussian channels."""
