"""What one turn of an agent costs with each memory: the models that are asked, and the agents that ask them."""
