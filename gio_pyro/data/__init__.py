"""Replay buffer, batches for training, and samples from training loops other than this library's."""
