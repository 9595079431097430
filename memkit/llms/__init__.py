"""Language models: the protocol in `base`, then one file for each wire format."""
