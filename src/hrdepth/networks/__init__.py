"""Networks by name. A new one needs a file and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from hrdepth.config import NetworkConfig
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.dispnet import SfMLearner, SuperDepth
from hrdepth.networks.dualnets import DualNets
from hrdepth.networks.fastdepth import FastDepth
from hrdepth.networks.hrdepth import HRDepth, LiteHRDepth
from hrdepth.networks.monodepth2 import Monodepth2
from hrdepth.networks.packnet import PackNet
from hrdepth.networks.pose import PoseCNN, PoseNet
from hrdepth.networks.pydnet import PyDNet
from hrdepth.registry import check_options, lookup

__all__ = ["NETWORKS", "POSE_NETWORKS", "build_network", "build_pose_network", "check_networks"]

NETWORKS: dict[str, Callable[..., DepthNetwork]] = {
    "hrdepth": HRDepth,
    "lite_hrdepth": LiteHRDepth,
    "monodepth2": Monodepth2,
    "pydnet": PyDNet,
    "packnet": PackNet,
    "superdepth": SuperDepth,
    "fastdepth": FastDepth,
    "sfmlearner": SfMLearner,
    "dualnets": DualNets,
}

POSE_NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "posenet": PoseNet,
    "posecnn": PoseCNN,
}


def check_networks(network: NetworkConfig, pose_network: NetworkConfig) -> None:
    """Check names and options before anything is built or read.

    Raises:
        InputError: an unknown network or option, or a value of another type.
    """
    _find(NETWORKS, network, "network")
    _find(POSE_NETWORKS, pose_network, "pose network")


def build_network(config: NetworkConfig) -> DepthNetwork:
    """Build the depth network that `config` names.

    Raises:
        InputError: an unknown network or option, or an invalid value.
    """
    network = _build(NETWORKS, config, "network")
    assert isinstance(network, DepthNetwork)
    return network


def build_pose_network(config: NetworkConfig) -> nn.Module:
    """Build the pose network that `config` names, with the interface of `PoseNet`; errors as `build_network`."""
    return _build(POSE_NETWORKS, config, "pose network")


def _build(registry: dict[str, Any], config: NetworkConfig, what: str) -> nn.Module:
    network: nn.Module = _find(registry, config, what)(**config.options)
    return network


def _find(registry: dict[str, Any], config: NetworkConfig, what: str) -> Any:
    kind = lookup(registry, config.name, what)
    check_options(kind, config.options, f"{what} '{config.name}'")
    return kind
