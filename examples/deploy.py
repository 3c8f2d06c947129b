"""Depth of an image from an exported network, with ONNX Runtime or OpenVINO alone: neither torch nor hrdepth.

    pip install numpy pillow onnxruntime          # or openvino instead, for .xml files
    python deploy.py network.onnx street.jpg depth.png

The result has 16 bits: depth x 256, in metres if the file has metres per unit.
"""

import json
import sys

import numpy as np
from PIL import Image, ImageOps


def load(path):
    """Return the network, from images (1,3,h,w) to (1,1,h,w), and its file's metadata."""
    if path.endswith(".onnx"):
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        metadata = session.get_modelmeta().custom_metadata_map
        run = lambda image: session.run(None, {"image": image})[0]  # noqa: E731
    else:
        import openvino

        model = openvino.Core().read_model(path)
        compiled = openvino.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
        metadata = model.get_rt_info(["hrdepth"]).value
        run = lambda image: compiled(image)[0]  # noqa: E731
    return run, {key[8:]: json.loads(str(getattr(value, "value", value))) for key, value in metadata.items()}


def main(network, path, out):
    """Predict and write."""
    run, about = load(network)
    if about.get("shift", 0) is None:
        sys.exit(f"{network} gives disparity and no depth: its teacher's scale and shift were unknown")
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    height, width = about["size"]
    pixels = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32) / 255
    if about["mean"] is not None:
        pixels = (pixels - np.float32(about["mean"])) / np.float32(about["std"])
    output = run(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))[0, 0]
    nearness = 1 / output  # 1/depth, which is what can be resized
    if about["output"] == "disparity":
        low, high = 1 / about["max_depth"], 1 / about["min_depth"]
        nearness = (low + (high - low) * output) / (about["metres_per_unit"] or 1)
    depth = 1 / np.asarray(Image.fromarray(nearness).resize(image.size, Image.Resampling.BILINEAR))
    Image.fromarray(np.clip(np.rint(depth * 256), 0, 65535).astype(np.uint16)).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
