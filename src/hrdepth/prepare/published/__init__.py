"""Published data sets, from their archives to training: `hrdepth prepare kitti|kitti-odometry|cityscapes`.

`layout` is what each of them must say of itself; `kitti`, `kitti_odometry` and `cityscapes` say it: what is there, what
is missing, by the archives' official names, and lists of frames. `images` decodes all and makes JPEG of PNG, `steps`
has the steps in their order.
"""

from hrdepth.prepare.published.steps import prepare_published

__all__ = ["prepare_published"]
