"""HR-Depth: self-supervised monocular depth."""
