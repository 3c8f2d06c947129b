"""Tests of every kind of true depth that truth/__init__.py registers.

Every kind of true depth says in a sentence what it needs, and has a protocol that can be used.
"""

import pytest

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.truth import GROUND_TRUTHS, build_ground_truth, depth_protocol


@pytest.mark.parametrize("kind", GROUND_TRUTHS)
def test_missing_options_are_named(kind, tmp_path):
    with pytest.raises(InputError, match="needs"):
        build_ground_truth(GroundTruthConfig(kind))
    empty, absent = tmp_path, str(tmp_path / "absent")
    for settings in ({"root": str(empty)}, {"root": absent}, {"depths": absent}):
        with pytest.raises(InputError) as error:
            len(list(build_ground_truth(GroundTruthConfig(kind, **settings))))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", GROUND_TRUTHS)
def test_the_protocol_is_complete_and_given_settings_override_it(kind):
    protocol = depth_protocol(kind, DepthProtocol(max_depth=33.0))
    assert protocol.max_depth == 33.0
    assert None not in (protocol.crop, protocol.scaling, protocol.min_depth)
