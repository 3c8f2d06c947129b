"""From an image to depth: predictor, runtimes, folders and videos, export and packing."""
