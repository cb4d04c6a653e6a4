"""Statistics of GF-FPN's attention during training: it starts near uniform, which starves LSAM."""

import math

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from gffpn.necks.gffpn.fccfm import FCCFM
from gffpn.necks.gffpn.lpam import LPAM


class AttentionTelemetry(Callback):
    """Callback that logs two statistics of each LPAM with FCCFM on the first validation batch.

    `attention/<module>/row_entropy`: mean row entropy of A, divided by log C (1 for uniform attention).
    `attention/<module>/effective_rank`: mean effective rank of A X.
    Nothing is logged for a network without FCCFM.
    """

    def __init__(self) -> None:
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._seen: dict[str, Tensor] = {}

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 0:
            for name, module in pl_module.named_modules():
                if isinstance(module, LPAM) and isinstance(module.attention, FCCFM):
                    # a guided stage calls LPAM's two parts directly; either way, the context runs first
                    self._hooks.append(module.context.register_forward_hook(self._keeper(name)))

    def _keeper(self, name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._seen[name] = inputs[0].detach()

        return keep

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object, **__: object
    ) -> None:
        if not self._hooks:
            return
        for hook in self._hooks:
            hook.remove()
        modules = dict(pl_module.named_modules())
        for name, features in self._seen.items():
            lpam = modules[name]
            assert isinstance(lpam, LPAM)
            count = len(features)
            # NaN is logged too: all processes of a run must log the same names
            entropy = rank = torch.tensor(math.nan)
            if features.isfinite().all():
                inside = lpam.inspect(features.float())
                entropy = inside.row_entropy.mean() / math.log(inside.attention.shape[-1])
                rank = inside.effective_rank.mean()
            figures = {"row_entropy": entropy, "effective_rank": rank}
            for figure, value in figures.items():
                pl_module.log(f"attention/{name}/{figure}", value, batch_size=count, sync_dist=True)
        self._hooks, self._seen = [], {}
