"""Tests of networks/pose.py.

The pose networks have as many parameters as was published.
"""

import pytest

from hrdepth.config import NetworkConfig
from hrdepth.networks import build_pose_network


@pytest.mark.parametrize(
    ("name", "decoder", "whole"), [("posenet", 1_314_572, 12_500_492), ("posecnn", 1_181_702, 1_586_774)]
)
def test_parameters_are_as_many_as_published(name, decoder, whole):
    network = build_pose_network(NetworkConfig(name))
    counted = [sum(parameter.numel() for parameter in part.parameters()) for part in (network.decoder, network)]
    assert counted == [decoder, whole]
