"""The learner: an online network that predicts a target network's projection of the other views.

`Learner.step` never waits for the device and keeps no Python state: its rates come from tables on the device,
read at a step counter on the device. So it can be captured in a CUDA graph. The exception is the predictor
`directpred`: on a GPU, torch's eigh waits for its own result.

Shape suffixes: B batch, C channels, H height, W width, F encoder features, D projection features.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from byol.config import INHERITED, TrialConfig
from byol.errors import ConfigError
from byol.losses import views_loss
from byol.networks import Branch, build_encoder, build_predictor, build_projector
from byol.objective import own_objective
from byol.optim import build_optimizer, set_lr
from byol.predictors import after_step
from byol.regularisers import directions, regularisation
from byol.schedules import lr_table, tau_table
from byol.seeding import normals_on_device
from byol.target import Average, averages

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
            OtherPartError, PartError: a part of the user's own is another, or fails.
        """
        self.config = config
        self.device = device
        self.bf16 = bf16
        module, self.features = encoder or build_encoder(config)
        self.online = self._placed(Branch(module, build_projector(config, self.features)))
        self.predictor = self._placed(build_predictor(config, self.features))
        self.target = self.online if config.target_is_online else self._build_target(encoder)
        roles = {
            "encoder": self.online.encoder,
            "projector": self.online.projector,
            "predictor": self.predictor,
        }
        self.optimizer = build_optimizer(
            {role: module.named_parameters() for role, module in roles.items()}, config
        )
        self._objective = own_objective(config)
        self._build_schedules(config, train_images)
        self._averages = [] if self.target is self.online else self._build_averages(train_images)

    def _build_target(self, encoder: Encoder | None) -> Branch:
        if self.config.target_init == "copy":
            target = copy.deepcopy(self.online)
        elif encoder is not None:
            raise ConfigError("target_init", "fresh", 'must be "copy" for an encoder of your own')
        else:
            module, features = build_encoder(self.config, "target-encoder")
            projector = build_projector(self.config, features, "target-projector")
            target = self._placed(Branch(module, projector))
        return target.requires_grad_(False).train(self.config.target_statistics == "batch")

    def _placed(self, module: Module) -> Module:
        """The module on the device, in the layout in which it trains fastest, in train mode."""
        # On a CPU a step in channels_last takes .7 to 1.0 of the time with most norms, about as long with
        # GroupNorm in fp32, but 1.25 to 1.8 times as long with GroupNorm in bf16 (benchmarks/log.md).
        grouped = self.config.encoder_norm in ("group", "group-ws")
        by_channel = grouped and self.bf16 and self.device.type == "cpu"
        layout = torch.contiguous_format if by_channel else torch.channels_last
        return module.to(self.device).to(memory_format=layout).train()

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
        self.tau_table = self._build_tau_table(config.tau_base, train_images)
        # 1-dim, because indexing with a 0-dim tensor would copy it to the host.
        self.step_index = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.loss_sum = torch.zeros((), device=self.device)

    def _build_tau_table(self, base: float, train_images: int) -> Tensor:
        config = self.config
        table_K = tau_table(
            base=base,
            final=config.tau_final,
            schedule=config.tau_schedule,
            per=config.tau_per,
            total_steps=self.total_steps,
            steps_per_epoch=config.steps_per_epoch(train_images),
        )
        return table_K.float().to(self.device)

    def _build_averages(self, train_images: int) -> list[Average]:
        base, projector_tau_K = self.config.projector_tau_base, self.tau_table
        if base != INHERITED:
            projector_tau_K = self._build_tau_table(base, train_images)
        return averages(
            self.online,
            self.target,
            tau_K=self.tau_table,
            projector_tau_K=projector_tau_K,
            every=self.config.target_every,
            statistics=self.config.target_statistics,
        )

    def step(self, *views_BCHW: Tensor) -> None:
        """One optimiser step on the views of a batch, then the target's update. Adds to `loss_sum`.

        Args:
            views_BCHW: `config.view_count` views, [B, C, H, W] each.
        """
        parts = self.config.accumulate
        self.optimizer.zero_grad()
        for part in zip(*(view_BCHW.chunk(parts) for view_BCHW in views_BCHW), strict=True):
            loss = self.loss(*part) / parts
            loss.backward()
            self.loss_sum.add_(loss.detach())
        set_lr(self.optimizer, self._this_step(self.lr_table), self._this_step(self.undecayed_lr_table))
        self.optimizer.step()
        after_step(self.predictor)
        for average in self._averages:
            average.move(self.step_index)
        self.step_index.add_(1)

    def loss(self, *views_BCHW: Tensor) -> Tensor:
        """The training loss of the views [B, C, H, W], a 0-dim tensor. Networks run in train mode.

        Each view goes through them by itself, so that every BatchNorm, the target's included, sees the
        statistics of one view's batch, as in DeepMind's BYOL.
        """
        assert len(views_BCHW) == self.config.view_count, "there must be view_count views"
        targets: dict[int, Tensor] = {}
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            projections = [
                cast(Tensor, self.online(x_BCHW)[1]) for x_BCHW in views_BCHW[: self._projected_views]
            ]
            if self.config.has_pairs:
                for view in range(self._first_target, len(views_BCHW)):
                    targets[view] = self._target_projection(view, views_BCHW, projections)
            predictions = [self.predictor(z_BD).float() for z_BD in projections[: self._predicting_views]]
        losses = []
        if self._objective is not None:
            losses.append(self._objective(predictions, [*targets.values()], projections))
        elif self.config.has_pairs:
            losses.append(self._views_loss(predictions, targets))
        if self.config.has_regularisers:
            losses.append(self._regularisation(projections))
        return sum(losses[1:], losses[0]) * self.config.loss_scale

    @property
    def _predicting_views(self) -> int:
        if not self.config.has_pairs:
            return 0
        return self.config.view_count if self.config.symmetric else 1

    @property
    def _projected_views(self) -> int:
        """How many views, the first ones, go through the online network."""
        every = self.target is self.online or self.config.has_regularisers or self._objective is not None
        return self.config.view_count if every else self._predicting_views

    @property
    def _first_target(self) -> int:
        every = self.config.symmetric or self.config.negatives_weight > 0 or self._objective is not None
        return 0 if every else 1

    def _target_projection(
        self, view: int, views_BCHW: Sequence[Tensor], projections: Sequence[Tensor]
    ) -> Tensor:
        if self.target is self.online:
            return projections[view].detach() if self.config.stop_gradient else projections[view]
        with torch.no_grad():
            return cast(Tensor, self.target(views_BCHW[view])[1])

    def _views_loss(self, predictions: Sequence[Tensor], targets: Mapping[int, Tensor]) -> Tensor:
        return views_loss(
            predictions,
            targets,
            average_targets=self.config.target_views == "mean",
            norm=self.config.loss_norm,
            regression_weight=self.config.regression_weight,
            negatives_weight=self.config.negatives_weight,
            negatives_temperature=self.config.negatives_temperature,
        )

    def _regularisation(self, projections: Sequence[Tensor]) -> Tensor:
        config = self.config
        return regularisation(
            projections,
            variance_weight=config.variance_weight,
            covariance_weight=config.covariance_weight,
            cross_correlation_weight=config.cross_correlation_weight,
            cross_correlation_lambda=config.cross_correlation_lambda,
            sigreg_weight=config.sigreg_weight,
            directions_DS=self._directions(projections[0].shape[1]) if config.sigreg_weight > 0 else None,
        )

    def _directions(self, size: int) -> Tensor:
        """This step's directions of SIGReg, for projections of so many features."""
        return directions(
            normals_on_device(self.config.seed, "slices", self.step_index, size, self.config.sigreg_slices)
        )

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
        for index, slots in self.optimizer.slots().items():
            tensors |= {f"optimizer.{index}.{slot}": value for slot, value in slots.items()}
        return tensors

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Restores what `state` returned, on this learner's device."""
        self.step_index.copy_(tensors["step_index"])
        self.loss_sum.copy_(tensors["loss_sum"])
        for name, module in self._modules():
            module.load_state_dict(_with_prefix(tensors, f"{name}."))
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in _with_prefix(tensors, "optimizer.").items():
            index, slot = key.split(".", 1)
            slots.setdefault(int(index), {})[slot] = value
        self.optimizer.load_slots(slots)

    def _modules(self) -> list[tuple[str, nn.Module]]:
        modules = [("online", self.online), ("predictor", self.predictor)]
        return modules if self.target is self.online else [*modules, ("target", self.target)]


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, by the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
