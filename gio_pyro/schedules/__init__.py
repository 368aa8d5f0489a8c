"""Schedules: weights and temperatures as functions of the environment steps taken."""
