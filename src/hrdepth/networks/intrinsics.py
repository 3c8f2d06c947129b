"""Learned cameras: K of each as parameters of a table, one row per camera."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hrdepth.camera import LearnedCamera

__all__ = ["LearnedIntrinsics"]

# Largest change of the principal point, as a share of the image: more would be a wrong crop, not a lens.
REACH = 0.25
# Ratio of the principal point's step to the focal length's.
POINT_SPEED = 0.1


class LearnedIntrinsics(nn.Module):
    """K of each camera as parameters that are trained with the networks.

    The parameters are the logarithm of the focal length over its initial value, so that it stays positive, and the
    principal point's shift; both relative to image width and height, so that they hold for every size.

    Args:
        cameras: the initial values.
        separate_fy: learn fx and fy independently; else their ratio is fixed.
        principal_point: learn cx and cy.
        speed: factor from the parameter to the logarithm of the focal length. An optimiser such as Adam changes every
            parameter by about the learning rate, which suits weights but is slow for a focal length.
    """

    log_focal: nn.Parameter
    point: nn.Parameter
    start: Tensor

    def __init__(
        self,
        cameras: Sequence[LearnedCamera],
        separate_fy: bool = False,
        principal_point: bool = True,
        speed: float = 10.0,
    ) -> None:
        super().__init__()
        self.cameras = tuple(cameras)
        self.speed = speed
        rows = [(c.fx / c.size[1], c.fy / c.size[0], c.cx / c.size[1], c.cy / c.size[0]) for c in self.cameras]
        self.register_buffer("start", torch.tensor(rows, dtype=torch.float32))  # (N,4)
        self.log_focal = nn.Parameter(torch.zeros(len(rows), 2 if separate_fy else 1))
        self.point = nn.Parameter(torch.zeros(len(rows), 2), requires_grad=principal_point)

    def forward(self, camera: Tensor, view: Tensor, given: Tensor) -> Tensor:
        """Return K of samples; gradients flow into their cameras' rows.

        Args:
            camera: (B,) the row, negative if K is known.
            view: (B,3,3), from the camera's image, (0,0) to (1,1), to the sample's pixels: crop, resize, flip.
            given: (B,3,3), K of samples whose camera is known.

        Returns:
            (B,3,3) in pixels of the sample.
        """
        fx, fy, cx, cy = self._normalised()[camera.clamp(min=0)].unbind(dim=1)
        zero, one = torch.zeros_like(fx), torch.ones_like(fx)
        k = torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one], dim=1).view(-1, 3, 3)
        # A mirrored image's camera has its x axis reversed, so that fx stays positive.
        mirror = torch.stack([view[:, 0, 0].sign(), one, one], dim=1)
        learned = view @ k * mirror[:, None]
        return torch.where((camera >= 0)[:, None, None], learned, given)

    @torch.no_grad()
    def table(self) -> list[LearnedCamera]:
        """Return the cameras with their current values."""
        found = []
        for camera, (fx, fy, cx, cy) in zip(self.cameras, self._normalised().tolist(), strict=True):
            height, width = camera.size
            numbers = (fx * width, fy * height, cx * width, cy * height)
            found.append(LearnedCamera(camera.name, camera.size, *numbers, start=camera.start))
        return found

    def _normalised(self) -> Tensor:
        """Return fx and cx in image widths, fy and cy in heights: (N,4)."""
        focal = self.start[:, :2] * torch.exp(self.speed * self.log_focal)
        point = self.start[:, 2:] + REACH * torch.tanh(POINT_SPEED * self.speed / REACH * self.point)
        return torch.cat([focal, point], dim=1)
