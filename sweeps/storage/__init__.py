"""Copies beyond this disk: the store, its lease, the ledger's mirror, checkpoints."""
