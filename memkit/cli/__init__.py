"""The `memkit` command.

`program` is the list of commands, `session` what all of them share, `output` how they print; each other file holds a
few commands. Nothing of the engine is imported before a command runs, so that `memkit --help` is quick.
"""

from __future__ import annotations

from .program import app, main

__all__ = ["app", "main"]
