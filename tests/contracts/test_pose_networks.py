"""Tests of every pose network that networks/__init__.py registers.

Every pose network in the registry gives the motion of a pair.
"""

import pytest
import torch

from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.networks import POSE_NETWORKS, build_network, build_pose_network
from hrdepth.weights.checkpoint import load_pose_network, save_checkpoint

pytestmark = pytest.mark.parametrize("name", POSE_NETWORKS)


def test_motions_are_small_and_depend_on_the_pair(name):
    network = build_pose_network(NetworkConfig(name)).eval()
    axis_angle, translation = network(torch.rand(2, 6, 64, 96))
    assert axis_angle.shape == translation.shape
    assert axis_angle.shape[0] == 2
    assert axis_angle.shape[2:] == (1, 3)
    assert axis_angle.abs().max() < 0.1
    assert axis_angle.dtype == torch.float32


def test_gradients_reach_every_parameter_from_no_motion(name):
    torch.manual_seed(0)
    network = build_pose_network(NetworkConfig(name)).eval()
    axis_angle, translation = network(torch.rand(2, 6, 64, 96))
    (axis_angle.sum() + translation[..., 0].sum() + 2 * translation[..., 1:].sum()).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_a_saved_pose_network_loads_with_equal_outputs(name, tmp_path):
    path, depth = tmp_path / "net.safetensors", NetworkConfig("lite_hrdepth")
    network = build_pose_network(NetworkConfig(name)).eval()
    save_checkpoint(
        path, build_network(depth), depth, size=(64, 96), pose_network=network, pose_network_config=NetworkConfig(name)
    )
    pair = torch.rand(1, 6, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(load_pose_network(path)(pair), network(pair))


def test_an_unknown_option_is_named(name):
    with pytest.raises(InputError, match=f"'{name}' has no option 'widht'"):
        build_pose_network(NetworkConfig(name, {"widht": 3}))
