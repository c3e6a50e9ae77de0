"""Optimisers whose learning rate is a number on the device, and their groups of parameters.

A step reads its rate from a 0-dim tensor in each parameter group, which `set_lr` fills from the table of the
schedule: nothing is read back to the host, and a captured CUDA graph replays with the current rate.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from byol.config import TrialConfig


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling with momentum, as DeepMind trains BYOL.

    For every parameter tensor p with gradient g, momentum buffer m (0 at first) and the group's values:

        u = g + weight_decay p
        u = u eta |p| / |u|       if the group's `adapt` is true and both norms are above 0
        m = momentum m + u
        p = p - lr m

    The rate stands outside the buffer, as in torch's SGD and deepmind-research; You et al. 2017 have it
    inside, which differs while the rate changes. Only `adapt` says whether a group is adapted:
    weight_decay = 0 does not switch the adaptation off.

    With `clip`, the second line is that of LARC as solo-learn writes it, which never goes further than SGD:

        u = u min(eta |p| / (|g| + weight_decay |p| + 1e-8) / lr, 1)       if the group's `adapt` is true

    but u = g where |p| or |g| is 0.

    Source: You et al. 2017 (arXiv 1708.03888); deepmind-research, byol/utils/optimizers.py; for `clip`,
    solo-learn, solo/utils/lars.py, `clip_lr`.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float | Tensor,
        momentum: float,
        weight_decay: float,
        eta: float,
        clip: bool = False,
    ) -> None:
        """Takes parameters or groups of them as torch.optim does; a group may override each value.

        Args:
            params: parameters, named parameters, or dictionaries with "params" and values of their own.
            lr: learning rate; a 0-dim tensor on the parameters' device to change it without waiting.
            momentum: decay of the buffer, 0..1.
            weight_decay: L2 coefficient, coupled (it passes through adaptation and momentum).
            eta: trust coefficient.
            clip: whether rates are clipped.
        """
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta, "clip": clip}
        super().__init__(params, {**defaults, "adapt": True})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient. Reads no number back from the device."""
        assert closure is None, "LARS evaluates no closure"
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._step_group(parameters, group)

    def _step_group(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        updates = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        if group["adapt"]:
            ratios = (
                _clipped_ratios(parameters, gradients, group)
                if group["clip"]
                else _trust_ratios(parameters, updates, group["eta"])
            )
            updates = torch._foreach_mul(updates, ratios)
        buffers = [self._buffer(p) for p in parameters]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, updates)
        torch._foreach_sub_(parameters, torch._foreach_mul(buffers, group["lr"]))

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        return buffer


def _trust_ratios(parameters: list[Tensor], updates: Iterable[Tensor], eta: float) -> list[Tensor]:
    """eta |p| / |u| for each tensor, 1 where either norm is 0."""
    parameter_norms = torch.stack(torch._foreach_norm(parameters))
    update_norms = torch.stack(torch._foreach_norm(list(updates)))
    usable = (parameter_norms > 0) & (update_norms > 0)
    return list(torch.where(usable, eta * parameter_norms / update_norms, 1.0).unbind())


def _clipped_ratios(parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
    """min(eta |p| / (|g| + weight_decay |p| + 1e-8) / lr, 1) for each tensor; see `LARS` for norms of 0."""
    parameter_norms = torch.stack(torch._foreach_norm(parameters))
    gradient_norms = torch.stack(torch._foreach_norm(gradients))
    rates = group["eta"] * parameter_norms / (gradient_norms + group["weight_decay"] * parameter_norms + 1e-8)
    ratios = (rates / group["lr"]).clamp(max=1)
    # Where |g| is 0, the update is the decay, which 0 takes away again; where |p| is 0, it is g already.
    ratios = torch.where(gradient_norms > 0, ratios, 0.0)
    return list(torch.where(parameter_norms > 0, ratios, 1.0).unbind())


def is_bias_or_norm(parameter: Tensor) -> bool:
    """Whether a parameter is a bias, or the scale or shift of a normalisation layer: a vector, not a matrix.

    The shape decides, as in timm, so that it works for any module and any name.
    """
    return parameter.ndim <= 1


def parameter_groups(
    parameters: Mapping[str, Iterable[tuple[str, nn.Parameter]]], config: TrialConfig
) -> list[dict[str, Any]]:
    """Sorts trainable parameters into groups that are treated alike, none empty.

    Besides what torch.optim knows, a group has `adapt` (for LARS), `lr_scale`, and `lr_decay` (whether the
    rate follows the schedule or stays at its peak). Its `lr` is a float32 0-dim tensor on the parameters'
    device, which is 0 until `set_lr` is called.

    Args:
        parameters: role ("encoder", "projector", "predictor") -> its named parameters. Only the predictor's
            rate differs. Those with requires_grad false are left out (a frozen predictor).
        config: reads exclude_bias_and_norm, the weight decays, predictor_lr_scale, predictor_lr_decay.
    """
    groups: dict[tuple[bool, bool, float], dict[str, Any]] = {}
    for role, named_parameters in parameters.items():
        is_predictor = role == "predictor"
        for name, parameter in named_parameters:
            if not parameter.requires_grad:
                continue
            excluded = config.exclude_bias_and_norm and is_bias_or_norm(parameter)
            weight_decay = 0.0 if excluded else config.weight_decay_of(role)
            group = groups.setdefault(
                (is_predictor, excluded, weight_decay),
                {
                    "params": [],
                    "lr": torch.zeros((), device=parameter.device),
                    "lr_scale": config.predictor_lr_scale if is_predictor else 1.0,
                    "lr_decay": config.predictor_lr_decay if is_predictor else True,
                    "weight_decay": weight_decay,
                    "adapt": not excluded,
                },
            )
            group["params"].append((f"{role}.{name}", parameter))
    return list(groups.values())


def build_optimizer(
    parameters: Mapping[str, Iterable[tuple[str, nn.Parameter]]], config: TrialConfig
) -> torch.optim.Optimizer:
    """The optimiser of a trial over the groups of `parameter_groups`.

    `momentum` is AdamW's beta1; its beta2 is torch's default, 0.999. Each group lists the names of its
    parameters, "role.name", under `param_names`, in their order.

    Args:
        parameters: role -> named parameters of the online network.
        config: reads optimizer, momentum, lars_eta, lars_clip, and what `parameter_groups` reads.

    Raises:
        ValueError: an unknown optimiser.
    """
    groups = parameter_groups(parameters, config)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=config.momentum, fused=True)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=(config.momentum, 0.999), fused=True)
    if config.optimizer == "lars":
        return LARS(
            groups,
            lr=0.0,
            momentum=config.momentum,
            weight_decay=0.0,
            eta=config.lars_eta,
            clip=config.lars_clip,
        )
    raise ValueError(f"optimizer must be one of sgd, lars, adamw, but got {config.optimizer!r}")


def set_lr(optimizer: torch.optim.Optimizer, lr: Tensor, undecayed_lr: Tensor) -> None:
    """Sets every group's rate for the next step, in place and without waiting for the device.

    Args:
        optimizer: from `build_optimizer`.
        lr: 0-dim, on the parameters' device: this step's rate.
        undecayed_lr: likewise, the rate without its decay, for groups whose `lr_decay` is false.
    """
    for group in optimizer.param_groups:
        group["lr"].copy_(lr if group["lr_decay"] else undecayed_lr).mul_(group["lr_scale"])
