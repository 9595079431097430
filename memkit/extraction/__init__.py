"""Messages to memories: what was said, what it proves, and what is refused."""
