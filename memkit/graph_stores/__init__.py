"""Graph stores: the protocol in `base`, what their authors share in `support` and `walk`, then one file for each."""
