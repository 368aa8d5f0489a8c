"""Signals apart, for the sweep."""
