"""`python -m memkit` is the `memkit` command."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
