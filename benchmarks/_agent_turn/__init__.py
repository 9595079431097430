"""What one turn of an agent costs with each memory: the workers of `benchmarks/agent_turn.py`."""
