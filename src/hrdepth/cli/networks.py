"""Networks and their files: models, export, pack, import-weights."""

from __future__ import annotations

import dataclasses
import json

from hrdepth.config import ExportConfig, ImportConfig, ModelsConfig, PackConfig

__all__ = ["export", "import_weights", "models", "pack"]


def models(config: ModelsConfig) -> None:
    """List the networks: parameters, GFLOPs, and where they stand in the paper."""
    from rich.console import Console

    from hrdepth.networks.summary import listing, summaries
    from hrdepth.weights.find import on_board

    found = summaries()
    if config.json:
        print(json.dumps([summary.as_dict() for summary in found], indent=2))
    else:
        Console().print(listing(found))
        print(f"weights on board: {', '.join(on_board()) or 'none'}")


def export(config: ExportConfig) -> None:
    """Export a network for other runtimes, and check the file against PyTorch."""
    from hrdepth.inference.export import export as export_network
    from hrdepth.inference.predictor import Predictor

    def abs_rel(predictor: Predictor) -> float:
        from hrdepth.evaluation.run import evaluate_network
        from hrdepth.truth import build_ground_truth, depth_protocol

        assert config.data is not None
        truths, protocol = build_ground_truth(config.data), depth_protocol(config.data.kind, config.protocol)
        predict, focal = predictor.scaled_disparity, predictor.canonical_focal
        return evaluate_network(predict, truths, protocol, canonical_focal=focal).mean["abs_rel"]

    print(export_network(config, None if config.data is None else abs_rel))


def pack(config: PackConfig) -> None:
    """Make weights small for others: the depth network, half the bytes, checked, with licence, hash and card."""
    from hrdepth.inference.pack import pack as run

    print(run(config))


def import_weights(config: ImportConfig) -> None:
    """Turn published encoder.pth and depth.pth files into one weights file of this package."""
    from hrdepth.weights.released import import_weights as run

    settings = dataclasses.asdict(config)
    run(**settings)
    print(config.out)
