"""Commands for networks and their files: predict, app, models, export, pack, serve, import-weights."""

from __future__ import annotations

import dataclasses
import json
import logging

from hrdepth.config import AppConfig, ExportConfig, ImportConfig, ModelsConfig, PackConfig, PredictConfig, ServeConfig
from hrdepth.machine import limit_openmp_spin

log = logging.getLogger(__name__)


def predict(config: PredictConfig) -> None:
    """Predict depth for images, a folder of images, a video, a camera or a stream."""
    limit_openmp_spin()
    if config.ray is not None:
        from hrdepth.fleet.recordings import predict_recordings

        print(predict_recordings(config))
        return
    from hrdepth.camera import choose_camera, pinhole
    from hrdepth.inference.folder import predict_to_folder
    from hrdepth.inference.outputs import resolve_outputs
    from hrdepth.inference.predictor import Predictor
    from hrdepth.io.image_files import result_name
    from hrdepth.io.media import probe

    media = probe(config.source, live=True)
    resolve_outputs(config, media.kind)  # before the network is loaded
    predictor = Predictor.from_pretrained(config.weights, flip=config.flip, shift=config.shift, **config.keywords())
    camera = choose_camera(predictor.cameras, config.camera) if config.intrinsics is None else None
    if camera is not None:
        log.info("using the learned camera '%s'; give --intrinsics for another", camera.name)
    written = predict_to_folder(
        predictor,
        media,
        config.out or f"{result_name(media.path.resolve().stem)}_depth",
        config,
        overwrite=config.overwrite,
        resume=config.resume,
        intrinsics=None if config.intrinsics is None else pinhole(*config.intrinsics),
        camera=camera,
        batch=config.batch,
    )
    print("\n".join(map(str, written)))
    if config.show:
        from hrdepth.io.plotting import show_images

        ending = "_panel.png" if config.panel else "_disparity.png"
        show_images([path for path in written if path.name.endswith(ending)])


def app(config: AppConfig) -> None:
    """Serve a web page with depth of images, clips and the webcam, and the progress of training runs."""
    limit_openmp_spin()
    import hrdepth.app

    hrdepth.app.run(config)


def models(config: ModelsConfig) -> None:
    """List the networks: parameters, GFLOPs, and their rows in the paper."""
    from rich.console import Console

    from hrdepth.costs import listing, stored_summaries
    from hrdepth.weights.find import bundled

    found = stored_summaries()
    if config.json:
        print(json.dumps([dataclasses.asdict(summary) for summary in found], indent=2))
    else:
        Console().print(listing(found))
        print(f"bundled weights: {', '.join(bundled()) or 'none'}")


def export(config: ExportConfig) -> None:
    """Export a network for other runtimes, and check the file against PyTorch."""
    from hrdepth.inference import export
    from hrdepth.inference.predictor import Predictor

    def abs_rel(predictor: Predictor) -> float:
        from hrdepth.evaluation.evaluate import evaluate_network, protocol_for
        from hrdepth.truth import build_ground_truth, depth_protocol

        assert config.data is not None
        truths = build_ground_truth(config.data)
        protocol = protocol_for(predictor.scale, depth_protocol(config.data.kind, config.protocol))
        predict, focal = predictor.scaled_disparity, predictor.canonical_focal
        return evaluate_network(predict, truths, protocol, canonical_focal=focal).mean["abs_rel"]

    print(export.export(config, None if config.data is None else abs_rel))


def pack(config: PackConfig) -> None:
    """Make a small weights file for others: half precision, checked, with licence and card; or a page for browsers."""
    if config.out is not None:
        from hrdepth.inference.pack import pack

        print(pack(config))
    if config.web is not None:
        from hrdepth.web.pack import pack_page

        print(pack_page(config))


def serve(config: ServeConfig) -> None:
    """Serve a page that `hrdepth pack --web` wrote, by https on the local network."""
    from hrdepth.web.serve import run

    run(config)


def import_weights(config: ImportConfig) -> None:
    """Convert published encoder.pth and depth.pth files to one weights file of this package."""
    from hrdepth.weights import released

    released.import_weights(**dataclasses.asdict(config))
    print(config.out)
