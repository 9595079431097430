"""The raw clients that vector stores are measured against."""
