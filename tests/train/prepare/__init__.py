"""Preparing training zips."""
