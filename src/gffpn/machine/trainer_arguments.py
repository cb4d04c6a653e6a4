"""Arguments of Lightning's Trainer."""

import inspect
from functools import cache
from typing import Any, get_type_hints

import lightning as L


@cache
def trainer_arguments() -> dict[str, Any]:
    """Return the annotated type of each argument of the installed version's Trainer, by name."""
    hints = get_type_hints(L.Trainer.__init__)
    names = list(inspect.signature(L.Trainer.__init__).parameters)[1:]
    return {name: hints.get(name, Any) for name in names}
