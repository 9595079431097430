"""The system of record: the protocol in `base`, the dialects in `sqlite` and `postgres`."""
