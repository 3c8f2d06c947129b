"""Networks that are built, trained and written in no time, for tests that need just any."""

from hrdepth.config import NetworkConfig

NETWORK = NetworkConfig("hrdepth", {"backbone": "test_efficientnet", "skip": "plain"})
POSE_NETWORK = NetworkConfig("posecnn")
