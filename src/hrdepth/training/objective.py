"""What is trained: networks and objective, from scratch or from a weights file."""

from __future__ import annotations

from torch import nn

from hrdepth.compute import compile_module, has_depthwise, use_fast_depthwise
from hrdepth.config import NetworkConfig, TrainConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.networks.blocks import channels_last
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives import Objective, build_objective
from hrdepth.weights.checkpoint import read_checkpoint

__all__ = ["build_training_objective"]


def build_training_objective(config: TrainConfig, cameras: LearnedIntrinsics | None = None) -> Objective:
    """Build networks and objective, started from `config.init` where it is given.

    Args:
        config: see `TrainConfig`.
        cameras: those that are learned, see `training.cameras`.

    Raises:
        InputError: unknown names or options, or an init checkpoint of another network.
    """
    network = build_network(config.network)
    if config.initial_depth is not None:
        network.start_at(config.initial_depth)
    temporal = any(frame != "s" for frame in config.objective.frames)
    pose_network = build_pose_network(config.pose_network) if temporal else None
    if config.init is not None:
        start = read_checkpoint(config.init)
        _start_from(network, config.network, start.network, start.network_config, config.init)
        _check_canonical_focal(start.canonical_focal, config)
        ranges = [(module.min_depth, module.max_depth) for module in (start.network, network)]
        if ranges[0] != ranges[1]:
            raise InputError(
                f"the weights file {config.init} speaks of depths {ranges[0][0]:g} to {ranges[0][1]:g}, the run of "
                f"{ranges[1][0]:g} to {ranges[1][1]:g}; set min_depth and max_depth in network.options to the file's"
            )
        if pose_network is not None and start.pose_network is not None and start.pose_network_config is not None:
            _start_from(pose_network, config.pose_network, start.pose_network, start.pose_network_config, config.init)
    if config.channels_last:
        channels_last(network)
        if pose_network is not None:
            channels_last(pose_network)
    if config.compile_networks:
        compile_module(network, "the depth network")
        if pose_network is not None:
            compile_module(pose_network, "the pose network")
    elif config.precision != "32-true":
        for module in (network, pose_network):
            if module is not None and has_depthwise(module):
                use_fast_depthwise(module)
    return build_objective(config.objective, network, pose_network, config.canonical_focal, cameras)


def _check_canonical_focal(start: float | None, config: TrainConfig) -> None:
    # A file without one may start any run: it holds for whatever camera it was trained with.
    if start is not None and start != config.canonical_focal:
        wanted = "none" if config.canonical_focal is None else config.canonical_focal
        raise InputError(
            f"the depth of the weights file {config.init} holds for canonical_focal {start}, the run has {wanted}; "
            f"set canonical_focal to {start}"
        )


def _start_from(
    network: nn.Module, config: NetworkConfig, start: nn.Module, start_config: NetworkConfig, path: str
) -> None:
    try:
        if start_config.name != config.name:
            raise RuntimeError
        network.load_state_dict(start.state_dict())
    except RuntimeError as error:
        raise InputError(
            f"the weights file {path} holds {start_config.name} {start_config.options or ''}, the run wants "
            f"{config.name} {config.options or ''}; set network or pose_network to that, or init to null"
        ) from error
