"""TinyIndus, simulated: small defects on glass and gloves, drawn with numpy. It knows nothing of gffpn."""

VERSION = "1"
"""Part of a data set's identity. Raise it when the same dials draw other pictures or other labels."""
