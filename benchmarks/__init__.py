"""Benchmarks: quality and speed, side by side with peers."""
