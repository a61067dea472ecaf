"""Estimators: what the pack truly is, from measured arrays."""
