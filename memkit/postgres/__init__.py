"""PostgreSQL for whoever stands on it: addresses, connections, values, and the driver's errors as ours."""
