"""Commands for training sets: prepare, doctor, render."""

from __future__ import annotations

from hrdepth.config import (
    DoctorConfig,
    PrepareCityscapesConfig,
    PrepareConfig,
    PrepareHintsConfig,
    PrepareKittiConfig,
    PrepareLabelsConfig,
    PrepareOdometryConfig,
    PrepareShardsConfig,
    PrepareVideoConfig,
    PublishedDataConfig,
    RenderConfig,
)
from hrdepth.errors import InputError


def prepare_video(config: PrepareVideoConfig) -> None:
    """Make a training set from videos or folders of frames."""
    if config.ray is not None and not config.verify:
        from hrdepth.fleet.recordings import prepare_recordings

        print(prepare_recordings(config))
    else:
        from hrdepth.prepare.video import prepare_videos

        print("\n".join(map(str, prepare_videos(config))))
    if not config.verify:
        print(f"next: hrdepth doctor {config.out}, then hrdepth train --data {config.out}")


def prepare_cache(config: PrepareConfig) -> None:
    """Decode and resize the images of a training once, into a cache that is faster to load."""
    from hrdepth.prepare.cache import prepare

    cache = prepare(config)
    print(f"{len(cache.entries)} images in {cache.folder}")


def prepare_hints(config: PrepareHintsConfig) -> None:
    """Compute depth hints for a training's images by multi-view geometry."""
    from hrdepth.prepare import hints

    found = hints.prepare_hints(config)
    print(f"hints in {found.folder}; train with --objective.options.hints {found.folder}")


def prepare_labels(config: PrepareLabelsConfig) -> None:
    """Label the images of a training set with a teacher: any depth model."""
    from hrdepth.prepare import labels

    if config.ray is None or config.verify:
        found = labels.prepare_labels(config)
    else:
        from hrdepth.fleet.images import label_on_cluster

        found = label_on_cluster(config, labels.images_to_label(config), labels.folder_of(config))
    print(f"labels in {found.folder}; train with --objective.options.labels {found.folder}")


def prepare_shards(config: PrepareShardsConfig) -> None:
    """Pack the data sets of a training into few large files, for any disk or object store."""
    from hrdepth.prepare.shards import pack_shards

    print("\n".join(map(str, pack_shards(config))))
    if not config.verify:
        print(f"next: hrdepth train --config {config.out}/train.yaml")


def prepare_kitti(config: PrepareKittiConfig) -> None:
    """Check KITTI raw for missing files and prepare it: lists, true depth, JPEG, cache."""
    _prepare_published("kitti", config)


def prepare_odometry(config: PrepareOdometryConfig) -> None:
    """Check KITTI odometry for missing files and prepare it: lists, JPEG, cache."""
    _prepare_published("kitti-odometry", config)


def prepare_cityscapes(config: PrepareCityscapesConfig) -> None:
    """Check CityScapes for missing files and prepare it: lists, JPEG, cache."""
    _prepare_published("cityscapes", config)


def _prepare_published(name: str, config: PublishedDataConfig) -> None:
    from hrdepth.prepare.published import prepare_published

    for sentence in prepare_published(name, config):
        print(sentence)


def doctor(config: DoctorConfig) -> None:
    """Examine a training set before training and write a page with its problems."""
    from hrdepth.check.doctor import examine

    examination = examine(config)
    print("\n".join(map(str, examination.findings)))
    print(f"{examination.verdict}: {examination.page}")
    if examination.counted:
        raise InputError(f"{examination.verdict}, listed above")


def render(config: RenderConfig) -> None:
    """Render a synthetic drive through a street, with exact depth and poses."""
    from hrdepth.synthetic import render_drive

    for drive in config.drives():
        print(render_drive(**drive))
