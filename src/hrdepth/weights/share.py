"""Weights to share: a folder with weights, card and config, on disk or on the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path, output_folder, write_json
from hrdepth.weights.card import Card, Facts, read_card
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint, save_checkpoint, scale_sentence
from hrdepth.weights.find import check_licence
from hrdepth.weights.hub import CARD_FILE, CONFIG_FILE, MODEL_FILE, SCHEME, upload

__all__ = ["Pretrained", "card_text", "write_checkpoint"]


class Pretrained:
    """What `Predictor` can do with weights beyond predicting: hand them on.

    Attributes:
        source: the weights file; None for a network that came from none.
    """

    source: Path | None = None

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        name: str | None = None,
        licence: str | None = None,
        card: str | Path | None = None,
        results: str | Path | None = None,
        dtype: str = "float32",
        overwrite: bool = False,
    ) -> Path:
        """Write model.safetensors, a card (README.md) and config.json into a folder that `from_pretrained` takes.

        Args:
            folder: made where it does not exist.
            name: of the weights; by default what they are called already, else the folder's.
            licence: SPDX; by default what the weights say.
            card: a YAML file with fields of `hrdepth.weights.card.Card`; by default what the weights say.
            results: a JSON file of metrics, see `hrdepth.weights.card.read_card`.
            dtype: of the kernels: `float32` or `float16`, which takes half the room.
            overwrite: replace what is in the folder.

        Raises:
            InputError: the predictor has no weights file, or the folder cannot be written.
        """
        name = name or Path(folder).resolve().name
        return self._save(Path(folder), f'"{folder}"', name, licence, card, results, dtype, overwrite)

    def push_to_hub(
        self,
        repo: str,
        *,
        name: str | None = None,
        licence: str | None = None,
        card: str | Path | None = None,
        results: str | Path | None = None,
        dtype: str = "float32",
        private: bool = False,
        token: str | None = None,
        message: str = "Weights, card and config by hrdepth",
    ) -> str:
        """Upload what `save_pretrained` writes to the Hugging Face Hub.

        Args:
            repo: OWNER/REPO, made where there is none.
            name: as for `save_pretrained`, by default the repository's.
            licence: likewise.
            card: likewise.
            results: likewise.
            dtype: likewise.
            private: of a repository that is made.
            token: for the Hub; None takes that of `hf auth login`.
            message: of the commit.

        Returns:
            The repository's address in a browser.

        Raises:
            InputError: the repository cannot be written or the Hub not be reached, or as `save_pretrained`.
        """
        repo = repo.removeprefix(SCHEME)
        with tempfile.TemporaryDirectory() as folder:
            name = name or repo.rpartition("/")[2]
            self._save(Path(folder), f'"{SCHEME}{repo}"', name, licence, card, results, dtype, True)
            return upload(Path(folder), repo, private=private, token=token, message=message)

    def _save(
        self,
        folder: Path,
        source: str,
        name: str,
        licence: str | None,
        card: str | Path | None,
        results: str | Path | None,
        dtype: str,
        overwrite: bool,
    ) -> Path:
        checkpoint = self._checkpoint()
        facts = read_card(card, results, Card.of(checkpoint.card))
        checkpoint = dataclasses.replace(
            checkpoint,
            name=name,
            licence=checkpoint.licence if licence is None else check_licence(licence),
            card=facts.as_dict(),
        )
        output_folder(folder, overwrite=overwrite)
        write_checkpoint(folder / MODEL_FILE, checkpoint, dtype)
        written = read_checkpoint(folder / MODEL_FILE)
        with atomic_path(folder / CARD_FILE) as temporary:
            temporary.write_text(card_text(written, source), encoding="utf-8")
        write_json(folder / CONFIG_FILE, _config(written))
        return folder

    def _checkpoint(self) -> Checkpoint:
        if self.source is None:
            raise InputError("this predictor's network came from no file; write one with checkpoints.save_checkpoint")
        if self.source.suffix != Path(MODEL_FILE).suffix:
            raise InputError(f"{self.source} is an exported file; load the weights that it was exported from")
        return read_checkpoint(self.source)


def write_checkpoint(path: str | Path, checkpoint: Checkpoint, dtype: str = "float32") -> None:
    """Write a checkpoint that was read, changed with `dataclasses.replace` perhaps; see `save_checkpoint`."""
    save_checkpoint(
        path,
        checkpoint.network,
        checkpoint.network_config,
        size=checkpoint.size,
        pose_network=checkpoint.pose_network,
        pose_network_config=checkpoint.pose_network_config,
        metres_per_unit=checkpoint.metres_per_unit,
        canonical_focal=checkpoint.canonical_focal,
        cameras=checkpoint.cameras,
        provenance=checkpoint.provenance,
        name=checkpoint.name,
        licence=checkpoint.licence,
        card=checkpoint.card,
        dtype=dtype,
    )


def card_text(checkpoint: Checkpoint, source: str) -> str:
    """Return the card of weights as Markdown.

    Args:
        checkpoint: as read from its file.
        source: what `from_pretrained` takes to load it, as Python code.
    """
    config, network = checkpoint.network_config, checkpoint.network
    options = ", ".join(f"{key} {value}" for key, value in config.options.items())
    scale = scale_sentence(checkpoint.metres_per_unit, checkpoint.canonical_focal)
    facts = Facts(
        name=checkpoint.name or "unnamed",
        network=config.name + (f" ({options})" if options else ""),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        size=checkpoint.size,
        scale=f"{network.min_depth:g} to {network.max_depth:g} units; {scale}",
        licence=checkpoint.licence,
        sha256=checkpoint.sha256,
        provenance=checkpoint.provenance,
    )
    return Card.of(checkpoint.card).markdown(facts, source)


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what the weights file says of itself, for readers that open no weights."""
    return {
        "library": "hrdepth",
        "name": checkpoint.name,
        "network": dataclasses.asdict(checkpoint.network_config),
        "size": list(checkpoint.size),
        "min_depth": checkpoint.network.min_depth,
        "max_depth": checkpoint.network.max_depth,
        "metres_per_unit": checkpoint.metres_per_unit,
        "canonical_focal": checkpoint.canonical_focal,
        "licence": checkpoint.licence,
        "sha256": checkpoint.sha256,
    }
