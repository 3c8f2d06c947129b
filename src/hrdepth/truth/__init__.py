"""True depth for evaluation: LiDAR, depth maps in folders, published sets."""
