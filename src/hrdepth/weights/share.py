"""Weights to share: a folder with weights, card and config, on disk or on the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from hrdepth.io.files import output_folder, write_json, write_text
from hrdepth.weights.card import Card, card_text, read_card
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from hrdepth.weights.find import MODEL_FILE, SCHEME, check_licence, hub_errors, hub_library

__all__ = ["describe", "push_to_hub", "save_pretrained", "write_checkpoint"]

# What a repository of the Hub contains besides the weights, by the Hub's customs.
CARD_FILE, CONFIG_FILE = "README.md", "config.json"


def save_pretrained(
    checkpoint: Checkpoint,
    folder: str | Path,
    *,
    name: str | None = None,
    licence: str | None = None,
    card: str | Path | None = None,
    results: str | Path | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    address: str | None = None,
) -> Path:
    """Write model.safetensors, a card (README.md) and config.json into a folder that `from_pretrained` takes.

    Args:
        checkpoint: the weights, as read from their file.
        folder: made where it does not exist.
        name: of the weights; by default the folder's.
        licence: SPDX; by default the one in the weights.
        card: a YAML file with fields of `hrdepth.weights.card.Card`; by default those in the weights.
        results: a JSON file of metrics, see `hrdepth.weights.card.read_card`.
        dtype: of the kernels: `float32` or `float16`, which takes half the room.
        overwrite: replace what is in the folder.
        address: where the card says that the weights are; by default the folder.

    Raises:
        InputError: the folder cannot be written, or the licence, the card or the results are not valid.
    """
    target = Path(folder)
    checkpoint = describe(checkpoint, name or target.resolve().name, licence, card, results)
    output_folder(target, overwrite=overwrite)
    write_checkpoint(target / MODEL_FILE, checkpoint, dtype)
    written = read_checkpoint(target / MODEL_FILE)
    write_text(target / CARD_FILE, card_text(written, f'"{address or folder}"'))
    write_json(target / CONFIG_FILE, _config(written))
    return target


def push_to_hub(
    checkpoint: Checkpoint,
    repo: str,
    *,
    name: str | None = None,
    private: bool = False,
    token: str | None = None,
    message: str = "Weights, card and config by hrdepth",
    **facts: Any,
) -> str:
    """Upload what `save_pretrained` writes to the Hugging Face Hub, as one commit.

    Args:
        checkpoint: the weights, as read from their file.
        repo: OWNER/REPO, made where there is none.
        name: of the weights; by default the repository's.
        private: of a repository that is made.
        token: for the Hub; None takes that of `hf auth login`.
        message: of the commit.
        facts: licence, card, results and dtype, as for `save_pretrained`.

    Returns:
        The repository's address in a browser.

    Raises:
        InputError: the repository cannot be written or the Hub not be reached, or as `save_pretrained`.
    """
    repo = repo.removeprefix(SCHEME)
    address = SCHEME + repo
    with tempfile.TemporaryDirectory() as folder:
        name = name or repo.rpartition("/")[2]
        save_pretrained(checkpoint, folder, name=name, overwrite=True, address=address, **facts)
        interface = hub_library().HfApi(token=token, library_name="hrdepth")
        with hub_errors(address):
            url = interface.create_repo(repo, private=private, exist_ok=True)
            interface.upload_folder(repo_id=url.repo_id, folder_path=Path(folder), commit_message=message)
    return str(url)


def describe(
    checkpoint: Checkpoint, name: str, licence: str | None, card: str | Path | None, results: str | Path | None
) -> Checkpoint:
    """Return the weights with the name, licence and card that they are shared with.

    Args:
        checkpoint: the weights, as read from their file.
        name: of the weights.
        licence: as for `save_pretrained`.
        card: as for `save_pretrained`.
        results: as for `save_pretrained`.

    Raises:
        InputError: the licence, the card or the results are not valid.
    """
    return dataclasses.replace(
        checkpoint,
        name=name,
        licence=checkpoint.licence if licence is None else check_licence(licence),
        card=read_card(card, results, Card.of(checkpoint.card)).as_dict(),
    )


def write_checkpoint(path: str | Path, checkpoint: Checkpoint, dtype: str = "float32") -> None:
    """Write a checkpoint that was read, changed with `dataclasses.replace` perhaps; see `save_checkpoint`."""
    save_checkpoint(
        path,
        checkpoint.network,
        checkpoint.network_config,
        size=checkpoint.size,
        pose_network=checkpoint.pose_network,
        pose_network_config=checkpoint.pose_network_config,
        cameras=checkpoint.cameras,
        provenance=checkpoint.provenance,
        name=checkpoint.name,
        licence=checkpoint.licence,
        card=checkpoint.card,
        dtype=dtype,
    )


def _config(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what the weights file says of itself, for readers that open no weights."""
    return {
        "library": "hrdepth",
        "name": checkpoint.name,
        "network": dataclasses.asdict(checkpoint.network_config),
        "size": list(checkpoint.size),
        **checkpoint.scale.as_dict(),
        "licence": checkpoint.licence,
        "sha256": checkpoint.sha256,
    }
