"""Weights to share: a folder with weights, card and config, on disk or on the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from hrdepth.io.files import atomic_path, output_folder, write_json
from hrdepth.weights.card import Card, Facts, read_card
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from hrdepth.weights.find import MODEL_FILE, SCHEME, check_licence, hub_errors, hub_library

__all__ = ["card_text", "push_to_hub", "save_pretrained", "write_checkpoint"]

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
        licence: SPDX; by default what the weights say.
        card: a YAML file with fields of `hrdepth.weights.card.Card`; by default what the weights say.
        results: a JSON file of metrics, see `hrdepth.weights.card.read_card`.
        dtype: of the kernels: `float32` or `float16`, which takes half the room.
        overwrite: replace what is in the folder.
        address: where the card says that the weights are; by default the folder.

    Raises:
        InputError: the folder cannot be written, or the licence, the card or the results are not valid.
    """
    target = Path(folder)
    facts = read_card(card, results, Card.of(checkpoint.card))
    checkpoint = dataclasses.replace(
        checkpoint,
        name=name or target.resolve().name,
        licence=checkpoint.licence if licence is None else check_licence(licence),
        card=facts.as_dict(),
    )
    output_folder(target, overwrite=overwrite)
    write_checkpoint(target / MODEL_FILE, checkpoint, dtype)
    written = read_checkpoint(target / MODEL_FILE)
    with atomic_path(target / CARD_FILE) as temporary:
        temporary.write_text(card_text(written, f'"{address or folder}"'), encoding="utf-8")
    write_json(target / CONFIG_FILE, _config(written))
    return target


def push_to_hub(
    checkpoint: Checkpoint,
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
    """Upload what `save_pretrained` writes to the Hugging Face Hub, as one commit.

    Args:
        checkpoint: the weights, as read from their file.
        repo: OWNER/REPO, made where there is none.
        name: of the weights; by default the repository's.
        licence: SPDX; by default what the weights say.
        card: as for `save_pretrained`.
        results: as for `save_pretrained`.
        dtype: of the kernels, as for `save_pretrained`.
        private: of a repository that is made.
        token: for the Hub; None takes that of `hf auth login`.
        message: of the commit.

    Returns:
        The repository's address in a browser.

    Raises:
        InputError: the repository cannot be written or the Hub not be reached, or as `save_pretrained`.
    """
    repo = repo.removeprefix(SCHEME)
    address = SCHEME + repo
    name = name or repo.rpartition("/")[2]
    facts: dict[str, Any] = {"name": name, "licence": licence, "card": card, "results": results, "dtype": dtype}
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(checkpoint, folder, overwrite=True, address=address, **facts)
        interface = hub_library().HfApi(token=token, library_name="hrdepth")
        with hub_errors(address):
            url = interface.create_repo(repo, private=private, exist_ok=True)
            interface.upload_folder(repo_id=url.repo_id, folder_path=Path(folder), commit_message=message)
    return str(url)


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


def card_text(checkpoint: Checkpoint, source: str) -> str:
    """Return the card of weights as Markdown.

    Args:
        checkpoint: as read from its file.
        source: what `from_pretrained` takes to load it, as Python code.
    """
    config, network = checkpoint.network_config, checkpoint.network
    options = ", ".join(f"{key} {value}" for key, value in config.options.items())
    facts = Facts(
        name=checkpoint.name or "unnamed",
        network=config.name + (f" ({options})" if options else ""),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        size=checkpoint.size,
        scale=f"{network.min_depth:g} to {network.max_depth:g} units; {network.scale.sentence}",
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
        **dataclasses.asdict(checkpoint.scale),
        "licence": checkpoint.licence,
        "sha256": checkpoint.sha256,
    }
