"""Prompts: one task is one file, with its response model and `build(...)`."""
