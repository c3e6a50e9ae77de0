"""Optimisers whose learning rate is a number on the device, and their groups of parameters.

A step reads its rate from a 0-dim tensor in each parameter group, which `set_lr` fills from the table of the
schedule: nothing is read back to the host, and a captured CUDA graph replays with the current rate.
"""

import abc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from byol.config import TrialConfig


class Optimizer(abc.ABC):
    """Groups of parameters, and what is remembered about each parameter.

    torch.optim's own classes import torch's compiler at their first use, which takes longer than all the rest
    of torch. The arithmetic of SGD and AdamW is torch's.

    Attributes:
        param_groups: as in torch.optim; `param_names` holds the names of parameters that came with one.
        state: parameter -> name of a slot -> tensor.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]], **defaults: Any) -> None:
        """Takes groups as torch.optim does: "params", tensors or pairs of a name and a tensor, and values.

        Args:
            groups: each may override each of the defaults.
            defaults: values of the groups that do not say otherwise.
        """
        self.param_groups = [{**defaults, **group, **_with_names(group["params"])} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update of every parameter that has a gradient. Reads no number back from the device."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                gradients = [p.grad for p in parameters if p.grad is not None]
                self._step_group(parameters, gradients, group)

    @abc.abstractmethod
    def _step_group(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        """Updates these parameters of a group in place."""

    def slots(self) -> dict[int, dict[str, Tensor]]:
        """What is remembered, by the place of the parameter among all of all groups."""
        places = {parameter: place for place, parameter in enumerate(self._parameters())}
        return {places[parameter]: dict(slots) for parameter, slots in self.state.items()}

    def load_slots(self, slots: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restores what `slots` returned, on the parameters' device and in their memory layout."""
        parameters = list(self._parameters())
        self.state = {
            parameters[place]: {name: _like(value, parameters[place]) for name, value in sorted(each.items())}
            for place, each in sorted(slots.items())
        }

    def _parameters(self) -> Iterator[Tensor]:
        for group in self.param_groups:
            yield from group["params"]

    def _slots_of(self, parameters: list[Tensor], name: str) -> list[Tensor]:
        """A slot of each parameter, zeros at first."""
        slots = []
        for parameter in parameters:
            remembered = self.state.setdefault(parameter, {})
            if name not in remembered:
                remembered[name] = torch.zeros_like(parameter)
            slots.append(remembered[name])
        return slots


def _with_names(params: Iterable[Any]) -> dict[str, list[Any]]:
    pairs = [entry if isinstance(entry, tuple) else (None, entry) for entry in params]
    names = [name for name, _ in pairs if name is not None]
    return {"params": [parameter for _, parameter in pairs], **({"param_names": names} if names else {})}


def _like(value: Tensor, parameter: Tensor) -> Tensor:
    """A copy of a slot where the parameter is; fused arithmetic needs its layout, which files lose."""
    if value.shape != parameter.shape:
        return value.to(parameter.device, copy=True)
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


class SGD(Optimizer):
    """torch's fused SGD with momentum, whose buffer begins as the first gradient."""

    def _step_group(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        has_momentum = group["momentum"] != 0
        buffers = [self.state.get(p, {}).get("momentum_buffer") for p in parameters] if has_momentum else []
        sgd(
            parameters,
            gradients,
            buffers,
            fused=True,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        if has_momentum:
            self.state |= {
                parameter: {"momentum_buffer": buffer}
                for parameter, buffer in zip(parameters, buffers, strict=True)
                if buffer is not None
            }


class AdamW(Optimizer):
    """torch's fused AdamW; each parameter counts its steps on its own device."""

    def _step_group(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        for p in parameters:
            if p not in self.state:
                self.state[p] = {"step": torch.zeros((), device=p.device)}
        adamw(
            parameters,
            gradients,
            self._slots_of(parameters, "exp_avg"),
            self._slots_of(parameters, "exp_avg_sq"),
            [],
            [self.state[p]["step"] for p in parameters],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling with momentum, as DeepMind trains BYOL.

    For every parameter tensor p with gradient g, momentum buffer m (0 at first) and the group's values:

        u = g + weight_decay p
        u = u eta |p| / |u|       if the group's `adapt` is true and both norms are above 0
        m = momentum m + u
        p = p - lr m

    The rate stands outside the buffer, as in torch's SGD and deepmind-research; You et al. 2017 have it
    inside, which differs while the rate changes. Only `adapt` says whether a group is adapted:
    weight_decay = 0 does not switch the adaptation off.

    With the group's `clip`, the second line is that of LARC as solo-learn writes it, which never goes further
    than SGD:

        u = u min(eta |p| / (|g| + weight_decay |p| + 1e-8) / lr, 1)       if the group's `adapt` is true

    but u = g where |p| or |g| is 0.

    Source: You et al. 2017 (arXiv 1708.03888); deepmind-research, byol/utils/optimizers.py; for `clip`,
    solo-learn, solo/utils/lars.py, `clip_lr`.
    """

    def _step_group(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        updates = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        if group["adapt"]:
            ratios = (
                _clipped_ratios(parameters, gradients, group)
                if group["clip"]
                else _trust_ratios(parameters, updates, group["eta"])
            )
            updates = torch._foreach_mul(updates, ratios)
        buffers = self._slots_of(parameters, "momentum_buffer")
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, updates)
        torch._foreach_sub_(parameters, torch._foreach_mul(buffers, group["lr"]))


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
) -> Optimizer:
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
        return SGD(groups, momentum=config.momentum)
    if config.optimizer == "adamw":
        return AdamW(groups, betas=(config.momentum, 0.999), eps=1e-8)
    if config.optimizer == "lars":
        return LARS(groups, momentum=config.momentum, eta=config.lars_eta, clip=config.lars_clip)
    raise ValueError(f"optimizer must be one of sgd, lars, adamw, but got {config.optimizer!r}")


def set_lr(optimizer: Optimizer, lr: Tensor, undecayed_lr: Tensor) -> None:
    """Sets every group's rate for the next step, in place and without waiting for the device.

    Args:
        optimizer: from `build_optimizer`.
        lr: 0-dim, on the parameters' device: this step's rate.
        undecayed_lr: likewise, the rate without its decay, for groups whose `lr_decay` is false.
    """
    for group in optimizer.param_groups:
        group["lr"].copy_(lr if group["lr_decay"] else undecayed_lr).mul_(group["lr_scale"])
