"""CPU cores that this process may use. Does not import torch."""


def usable_cores() -> int:
    """Return the number of cores that this process can keep busy: affinity and a container's limit count."""
    from joblib import cpu_count  # a fifth of a second

    return int(cpu_count())
