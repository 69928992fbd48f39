"""Measured beside published: the ledger of scores, and files for evaluation servers."""
