"""Composition root: builds objects from a configuration. No other package calls `instantiate`."""
