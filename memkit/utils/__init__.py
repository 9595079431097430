"""Names where mem0 has them."""
