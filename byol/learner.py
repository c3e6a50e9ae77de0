"""The learner: an online network that predicts a target network's projection of the other view.

`Learner.step` never waits for the device and keeps no Python state: its rates come from tables on the device,
read at a step counter on the device. So it can be captured in a CUDA graph (with AdamW, once the optimiser's
groups say `capturable`, which torch requires in a graph and warns about outside one).

Shape suffixes: B batch, C channels, H height, W width, F encoder features, D projection features.
"""

import copy
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from byol.config import TrialConfig
from byol.errors import ConfigError
from byol.losses import pair_loss
from byol.networks import Branch, build_encoder, build_predictor, build_projector
from byol.optim import build_optimizer, set_lr
from byol.schedules import lr_table, tau_table

Encoder = tuple[nn.Module, int]
"""An encoder [B, 3, S, S] -> [B, F], and its F."""

Module = TypeVar("Module", bound=nn.Module)


class Learner:
    """Online network, target network, optimiser and schedules of one trial.

    Attributes:
        online: encoder and projector that are trained.
        predictor: maps the online projection to the target's; the identity for `predictor` "none".
        target: encoder and projector whose weights are an exponential moving average of the online ones;
            `online` itself where tau is 0 throughout, which gives the same and saves a forward pass.
    """

    def __init__(
        self,
        config: TrialConfig,
        *,
        train_images: int,
        device: torch.device,
        bf16: bool = False,
        encoder: Encoder | None = None,
    ) -> None:
        """Builds networks with the weights that `config.seed` fixes, the same on every device.

        Args:
            config: the trial.
            train_images: number of training images, which fixes the steps of an epoch.
            device: where to train.
            bf16: whether the networks run under bf16 autocast; losses and metrics stay float32.
            encoder: a module of the caller's, with its number of features, instead of `config.encoder`.

        Raises:
            ConfigError: the configuration does not fit the number of images or the caller's encoder.
        """
        self.config = config
        self.device = device
        self.bf16 = bf16
        module, self.features = encoder or build_encoder(config)
        self.online = _on_device(Branch(module, build_projector(config, self.features)), device)
        self.predictor = _on_device(build_predictor(config), device)
        self.target = self.online if config.target_is_online else self._build_target(encoder)
        roles = {
            "encoder": self.online.encoder,
            "projector": self.online.projector,
            "predictor": self.predictor,
        }
        self.optimizer = build_optimizer(
            {role: module.named_parameters() for role, module in roles.items()}, config
        )
        self._build_schedules(config, train_images)
        self._target_parameters: list[Tensor] = list(self.target.parameters())
        self._online_parameters: list[Tensor] = list(self.online.parameters())

    def _build_target(self, encoder: Encoder | None) -> Branch:
        if self.config.target_init == "copy":
            return copy.deepcopy(self.online).requires_grad_(False)
        if encoder is not None:
            raise ConfigError("target_init", "fresh", 'must be "copy" for an encoder of your own')
        module, features = build_encoder(self.config, "target-encoder")
        projector = build_projector(self.config, features, "target-projector")
        return _on_device(Branch(module, projector).requires_grad_(False), self.device)

    def _build_schedules(self, config: TrialConfig, train_images: int) -> None:
        self.total_steps = config.total_steps(train_images)
        self.lr_table, self.undecayed_lr_table = (
            lr_table(
                lr=config.lr,
                batch_size=config.batch_size,
                schedule=schedule,
                total_steps=self.total_steps,
                warmup_steps=config.warmup_steps(train_images),
            )
            .float()
            .to(self.device)
            for schedule in (config.lr_schedule, "constant")
        )
        self.tau_table = (
            tau_table(
                base=config.tau_base,
                final=config.tau_final,
                schedule=config.tau_schedule,
                per=config.tau_per,
                total_steps=self.total_steps,
                steps_per_epoch=config.steps_per_epoch(train_images),
            )
            .float()
            .to(self.device)
        )
        # 1-dim, because indexing with a 0-dim tensor would copy it to the host.
        self.step_index = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.loss_sum = torch.zeros((), device=self.device)

    def step(self, view1_BCHW: Tensor, view2_BCHW: Tensor) -> None:
        """One optimiser step on two views of a batch, then the target's update. Adds to `loss_sum`."""
        parts = self.config.accumulate
        self.optimizer.zero_grad(set_to_none=True)
        for part1_BCHW, part2_BCHW in zip(view1_BCHW.chunk(parts), view2_BCHW.chunk(parts), strict=True):
            loss = self.loss(part1_BCHW, part2_BCHW) / parts
            loss.backward()
            self.loss_sum.add_(loss.detach())
        set_lr(self.optimizer, self._this_step(self.lr_table), self._this_step(self.undecayed_lr_table))
        self.optimizer.step()
        self._update_target()
        self.step_index.add_(1)

    def loss(self, view1_BCHW: Tensor, view2_BCHW: Tensor) -> Tensor:
        """The training loss of two views [B, C, H, W], a 0-dim tensor. Networks run in train mode.

        Each view goes through them by itself, so that every BatchNorm, the target's included, sees the
        statistics of one view's batch, as in DeepMind's BYOL.
        """
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            z1_BD = self._online_projection(view1_BCHW)
            z2_BD = self._online_projection(view2_BCHW) if self._needs_second_online else None
            t1_BD = self._target_projection(view1_BCHW, z1_BD) if self._needs_first_target else None
            t2_BD = self._target_projection(view2_BCHW, z2_BD)
            q1_BD = self.predictor(z1_BD).float()
            q2_BD = self.predictor(z2_BD).float() if self.config.symmetric else None
        loss = self._pair_loss(q1_BD, t2_BD, t1_BD)
        if q2_BD is not None:
            assert t1_BD is not None
            loss = loss + self._pair_loss(q2_BD, t1_BD, t2_BD)
        return loss * self.config.loss_scale

    @property
    def _needs_second_online(self) -> bool:
        return self.config.symmetric or self.target is self.online

    @property
    def _needs_first_target(self) -> bool:
        return self.config.symmetric or self.config.negatives_weight > 0

    def _online_projection(self, view_BCHW: Tensor) -> Tensor:
        return cast(Tensor, self.online(view_BCHW)[1])

    def _target_projection(self, view_BCHW: Tensor, online_BD: Tensor | None) -> Tensor:
        if self.target is self.online:
            assert online_BD is not None
            return online_BD.detach() if self.config.stop_gradient else online_BD
        with torch.no_grad():
            return cast(Tensor, self.target(view_BCHW)[1])

    def _pair_loss(self, q_BD: Tensor, t_BD: Tensor, same_view_BD: Tensor | None) -> Tensor:
        return pair_loss(
            q_BD,
            t_BD,
            same_view_BD,
            norm=self.config.loss_norm,
            negatives_weight=self.config.negatives_weight,
            negatives_temperature=self.config.negatives_temperature,
        )

    @torch.no_grad()
    def _update_target(self) -> None:
        """Moves the target's parameters towards the online ones, but not BatchNorm's running statistics."""
        if self.target is self.online:
            return
        tau = self._this_step(self.tau_table)
        torch._foreach_mul_(self._target_parameters, tau)
        online_shares = torch._foreach_mul(self._online_parameters, 1 - tau)
        torch._foreach_add_(self._target_parameters, list(online_shares))

    def _this_step(self, table_K: Tensor) -> Tensor:
        """This step's entry, as a 0-dim tensor."""
        return table_K.index_select(0, self.step_index).squeeze(0)

    def take_loss(self) -> Tensor:
        """The sum of the losses since the last call, a 0-dim tensor on the device; starts the next at 0."""
        total = self.loss_sum.clone()
        self.loss_sum.zero_()
        return total

    def state(self) -> dict[str, Tensor]:
        """Everything that training changes, as named tensors: the content of a checkpoint."""
        tensors = {"step_index": self.step_index, "loss_sum": self.loss_sum}
        for name, module in self._modules():
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{index}.{slot}": value for slot, value in slots.items() if value is not None
            }
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restores what `state` returned, on this learner's device."""
        self.step_index.copy_(tensors["step_index"])
        self.loss_sum.copy_(tensors["loss_sum"])
        for name, module in self._modules():
            module.load_state_dict(_with_prefix(tensors, f"{name}."))
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in _with_prefix(tensors, "optimizer.").items():
            index, slot = key.split(".", 1)
            parameter = parameters[int(index)]
            if value.shape == parameter.shape:
                # Fused optimisers need the parameter's memory layout (channels_last), which files lose.
                value = torch.empty_like(parameter).copy_(value)
            slots.setdefault(int(index), {})[slot] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})

    def _modules(self) -> list[tuple[str, nn.Module]]:
        modules = [("online", self.online), ("predictor", self.predictor)]
        return modules if self.target is self.online else [*modules, ("target", self.target)]


def _on_device(module: Module, device: torch.device) -> Module:
    # Convolutions are a fifth faster in channels_last on the CPU, more on a GPU.
    return module.to(device).to(memory_format=torch.channels_last).train()


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, by the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
