"""A network at work: predict, app."""

from __future__ import annotations

import logging
from pathlib import Path

from hrdepth.config import AppConfig, PredictConfig
from hrdepth.cpu import limit_openmp_spin

__all__ = ["app", "predict"]

log = logging.getLogger(__name__)


def predict(config: PredictConfig) -> None:
    """Predict depth for an image, a folder of images or a video."""
    limit_openmp_spin()
    from hrdepth.geometry import pinhole
    from hrdepth.inference.folder import predict_to_folder
    from hrdepth.inference.predictor import Predictor
    from hrdepth.io.media import probe
    from hrdepth.weights.checkpoint import choose_camera
    from hrdepth.weights.find import weights_file

    probe(config.input)  # what holds nothing is said at once, not when the network is loaded
    weights = weights_file(config.weights)
    predictor = Predictor.from_file(weights, flip=config.flip, **config.keywords())
    camera = choose_camera(weights, config.camera) if config.intrinsics is None else None
    if camera is not None:
        log.info("taken by the learned camera '%s'; give --intrinsics for another", camera.name)
    written = predict_to_folder(
        predictor,
        config.input,
        config.out or f"{Path(config.input).resolve().stem}_depth",
        config,
        overwrite=config.overwrite,
        resume=config.resume,
        intrinsics=None if config.intrinsics is None else pinhole(*config.intrinsics),
        weights=weights,
        camera=camera,
    )
    print("\n".join(map(str, written)))
    if config.show:
        from hrdepth.io.plotting import show_images

        ending = "_panel.png" if config.panel else "_disparity.png"
        show_images([path for path in written if path.name.endswith(ending)])


def app(config: AppConfig) -> None:
    """Serve a page: depth of images, clips and the webcam, and training runs to follow."""
    limit_openmp_spin()
    from hrdepth.app import run

    run(config)
