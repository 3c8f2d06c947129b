"""Draw how the network learns and what it is made of: docs/images/method-*.

Renders three frames of a synthetic street into demo/method. Exact depth and motion stand in for the two networks, so
that the images show the method and not how far a training came. A car drives ahead at the camera's speed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import yaml
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from hrdepth import geometry, losses
from hrdepth.config import NetworkConfig
from hrdepth.data.sample import image_tensor
from hrdepth.io.images import write_image
from hrdepth.io.plotting import colour, new_figure, save, style
from hrdepth.io.visualize import colorize_disparity, colorize_error, side_by_side
from hrdepth.networks import build_network
from hrdepth.report.features import first_level_maps
from hrdepth.synthetic import render_drive
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.find import locate_weights

HERE = Path(__file__).resolve().parents[1]
IMAGES = HERE / "docs" / "images"
SIZE, SEED = (192, 640), 3


def main() -> None:
    """Render, compute, draw."""
    root = HERE / "demo" / "method"
    render_drive(root, frames=3, size=SIZE, seed=SEED, stereo=False, car_ahead=9.0)
    drive = root / "drive"
    frames = [image_tensor(Image.open(drive / "left" / f"{n:06d}.png"), SIZE)[None] for n in range(3)]
    depth = torch.from_numpy(np.load(drive / "depth" / "000001.npy"))[None, None]  # (1,1,H,W)
    camera = yaml.safe_load((drive / "camera.yaml").read_text())
    matrix = torch.tensor(geometry.pinhole(*(camera[name] for name in ("fx", "fy", "cx", "cy"))), dtype=torch.float32)
    poses = [np.vstack([row.reshape(3, 4), [0, 0, 0, 1]]) for row in np.loadtxt(drive / "poses.txt")]
    views(frames, depth, matrix[None], [pose(poses[1], poses[other]) for other in (0, 2)])
    features(drive / "left" / "000001.png")
    with style():
        save(draw_network(), IMAGES, "method-network", ["svg"])


def pose(target: np.ndarray, source: np.ndarray) -> Tensor:
    """Motion from the target's camera to the source's, (1,4,4), from two camera-to-world matrices."""
    return torch.tensor(np.linalg.inv(source) @ target, dtype=torch.float32)[None]


def views(frames: list[Tensor], depth: Tensor, matrix: Tensor, poses: list[Tensor]) -> None:
    """Draw the synthesised view, its errors, and what the auto-mask leaves out."""
    target, sources = frames[1], [frames[0], frames[2]]
    made = [
        geometry.view_synthesis(source, depth, matrix, motion) for source, motion in zip(sources, poses, strict=True)
    ]
    errors = torch.cat([losses.photometric_error(view, target) for view in made], 1)
    unmoved = torch.cat([losses.photometric_error(source, target) for source in sources], 1)
    left_out = unmoved.amin(1) <= errors.amin(1)
    known = torch.where(depth > 0, 1 / depth.clamp(min=1e-6), torch.zeros(()))[0, 0].numpy()
    rows = [
        side_by_side(
            [image(target), image(sources[0]), image(made[0])],
            ["the target", "a source: the frame before", "the source, read where the target's points lie"],
        ),
        side_by_side(
            [colorize_disparity(known), error(unmoved[:, 0]), error(errors[:, 0])],
            ["the target's disparity", "error of the unmoved source", "error of the synthesised view"],
        ),
        side_by_side(
            [error(errors[:, 1]), error(errors.amin(1)), np.uint8(255 * ~left_out[0].numpy())],
            ["error from the frame after", "the best source of each pixel", "black: left out by the auto-mask"],
        ),
    ]
    write_image(IMAGES / "method-views.jpg", np.concatenate([shrink(row) for row in rows]))


def features(street: Path) -> None:
    """Show what the last fusion of the bundled network reads and makes (paper, Figure 5)."""
    checkpoint = read_checkpoint(locate_weights())
    image = Image.open(street)
    maps = first_level_maps(checkpoint.network, image_tensor(image, checkpoint.size)[None])
    size = (2 * SIZE[1], 2 * SIZE[0])
    shown = {
        label: np.asarray(Image.fromarray(colorize_disparity(values, cmap="viridis")).resize(size))
        for label, values in maps.items()
    }
    labels = list(shown)
    rows = [side_by_side([shown[one] for one in part], part) for part in (labels[:3], labels[3:])]
    write_image(IMAGES / "method-features.jpg", np.concatenate([shrink(row) for row in rows]))


def draw_network() -> Figure:
    """Draw the nodes of HR-Depth's decoder and what each reads (paper, Figure 3)."""
    nodes = list(build_network(NetworkConfig("hrdepth")).decoder.nodes)
    figure = new_figure(3.4, 6.0)
    axes = figure.subplots()
    places = [(level, 0) for level in range(5)] + [(int(name[0]), int(name[1])) for name in nodes]
    last = {level: max(column for row, column in places if row == level) for level in range(4)}
    for level, column in places:
        fused = column > 0 and last.get(level) == column
        label = f"$X_{level}^e$" if not column else f"$X_{level}^d$" if fused else f"$X_{{{level},{column}}}$"
        face = "white" if not column else colour(1) if fused else colour(5)
        axes.plot(column, -level, "o", markersize=23, markerfacecolor=face, markeredgecolor="0.2", zorder=3)
        axes.text(column, -level, label, ha="center", va="center_baseline", fontsize=8, zorder=4)
        if not column:
            if level:
                arrow(axes, (0, 1 - level), (0, -level), "0.2")
            continue
        arrow(axes, (column - 1, -level - 1), (column, -level), colour(2))
        for before in range(column):
            arrow(axes, (before, -level), (column, -level), colour(0), 0.16 * (column > before + 1))
    for label, shade in (("skip connection", colour(0)), ("reduced and upsampled", colour(2)), ("encoder", "0.2")):
        axes.plot([], [], color=shade, label=label)
    axes.legend(loc="lower right")
    axes.set(xlim=(-0.5, 4.5), ylim=(-4.5, 0.8))
    axes.axis("off")
    return figure


def arrow(axes: object, start: tuple[float, float], end: tuple[float, float], shade: str, bend: float = 0.0) -> None:
    """Draw an arrow between two nodes."""
    axes.annotate(  # type: ignore[attr-defined]
        "", end, start,
        arrowprops={"arrowstyle": "-|>", "color": shade, "shrinkA": 13, "shrinkB": 13, "linewidth": 0.9,
                    "connectionstyle": f"arc3,rad={-bend}"},
    )  # fmt: skip


def image(image: Tensor) -> np.ndarray:
    """Turn (1,3,H,W) in [0,1] into uint8 (H,W,3)."""
    return np.uint8((255 * image[0].clamp(0, 1)).round().permute(1, 2, 0).numpy())


def error(values: Tensor) -> np.ndarray:
    """Colour an error (1,H,W), all in one range."""
    return colorize_error(values[0].numpy(), vmax=0.3)


def shrink(row: np.ndarray) -> np.ndarray:
    """Bring a row to the page's width."""
    image = Image.fromarray(row)
    return np.asarray(image.resize((1440, round(image.height * 1440 / image.width)), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    main()
