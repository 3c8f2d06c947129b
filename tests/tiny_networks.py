"""Networks that are built, trained and written in no time, for tests that need just any."""

from hrdepth.config import NetworkConfig

NETWORK = NetworkConfig("hrdepth", {"backbone": "test_efficientnet", "skip": "plain"})
POSE_NETWORK = NetworkConfig("posecnn")
# At a fraction of the published width, for memory and time; tests/networks counts the published ones.
NARROW = {"packnet": {"width": 32}}


def narrow(name, **options):
    """Any network by its name, as published where that is not too large for most tests."""
    return NetworkConfig(name, {**NARROW.get(name, {}), **options})
