"""How checkpoints are written and read: whole or not at all, and without running what they say."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from gffpn.files.writing import whole_file


class WholeCheckpoints(TorchCheckpointIO):
    """Replaces a checkpoint in one step.

    Lightning writes to the system's folder for temporary files and moves the file from there: where that is
    another disk, the move is a copy, and a kill leaves a torn file under the checkpoint's own name.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # by way of memory: torch hides what the system says of a full disk
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with whole_file(Path(path)) as draft:
            draft.write_bytes(content.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        # a checkpoint may come from elsewhere: never unpickle code, whatever the caller asks for
        return torch.load(path, map_location=map_location, weights_only=True)


class MovableCheckpoint(ModelCheckpoint):
    """Keeps what it knows of the best epoch when the run's folder has moved since.

    Lightning forgets the best score there, so that the next epoch would replace a better one; and it would
    delete the best checkpoint of the old place.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        here, there = str(self.dirpath), str(state_dict["dirpath"])

        def moved(value: Any) -> Any:
            if isinstance(value, dict):
                return {moved(key): moved(item) for key, item in value.items()}
            return here + value[len(there) :] if isinstance(value, str) and value.startswith(there) else value

        super().load_state_dict(moved(state_dict))
