"""The simulated TinyIndus: small defects on glass and gloves, drawn with numpy, independent of gffpn."""

VERSION = "3"
"""Part of a data set's identity. Increase it when the same dials give other pictures or other labels."""
