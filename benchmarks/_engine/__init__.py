"""The engine beside its peers: same texts, same vectors, each system in a process of its own."""
