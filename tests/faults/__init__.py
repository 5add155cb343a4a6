"""Faults of providers and stores, and the documented response of every host to each of them."""
