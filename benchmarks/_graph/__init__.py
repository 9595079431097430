"""Parts of the benchmark of the graph."""
