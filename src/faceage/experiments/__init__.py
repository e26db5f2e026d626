"""Runs by name and recipes: for the scripts that people run beside the pipeline."""
