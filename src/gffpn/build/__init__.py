"""The composition root: configuration to objects. The only room that calls `instantiate`."""
