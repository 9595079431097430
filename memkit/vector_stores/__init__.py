"""Vector stores: the protocol in `base`, then one file for each."""
