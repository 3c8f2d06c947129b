"""Weights files from and to the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hrdepth.errors import InputError

__all__ = ["CARD_FILE", "CONFIG_FILE", "MODEL_FILE", "SCHEME", "download", "upload"]

SCHEME = "hf://"
# What a repository holds, by the Hub's customs.
MODEL_FILE, CARD_FILE, CONFIG_FILE = "model.safetensors", "README.md", "config.json"
ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?(/(?P<file>.+))?")
# OpenVINO's weights lie beside the graph.
COMPANIONS = {".xml": ".bin"}


def download(address: str) -> Path:
    """Return a file of the Hub, downloaded on first use and kept in the Hub's cache.

    Args:
        address: `hf://OWNER/REPO[@REVISION][/FILE]`; FILE is `model.safetensors` where it is left out.

    Raises:
        InputError: the address is none, the file is not there or may not be read, or the Hub cannot be reached.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(
            f"{address} is no address on the Hugging Face Hub; write hf://OWNER/REPO or {SCHEME}OWNER/REPO/FILE"
        )
    repo, revision, file = match["repo"], match["revision"], match["file"] or MODEL_FILE
    library = _library()
    with _sentences(address):
        path = Path(library.hf_hub_download(repo, file, revision=revision, library_name="hrdepth"))
        if companion := COMPANIONS.get(path.suffix):
            library.hf_hub_download(repo, str(Path(file).with_suffix(companion)), revision=revision)
    return path


def upload(folder: Path, repo: str, *, private: bool, token: str | None, message: str) -> str:
    """Upload the files of a folder, as one commit, into a repository that is made where there is none.

    Returns:
        The repository's address in a browser.

    Raises:
        InputError: the repository may not be written, or the Hub cannot be reached.
    """
    repo = repo.removeprefix(SCHEME)
    interface = _library().HfApi(token=token, library_name="hrdepth")
    with _sentences(SCHEME + repo):
        url = interface.create_repo(repo, private=private, exist_ok=True)
        interface.upload_folder(repo_id=url.repo_id, folder_path=folder, commit_message=message)
    return str(url)


def _library() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise InputError(
            f"the Hugging Face Hub needs {error.name}; install it with pip install 'hrdepth[hub]'"
        ) from error
    return huggingface_hub


@contextmanager
def _sentences(address: str) -> Iterator[None]:
    """Say in a sentence what went wrong between here and the Hub."""
    from huggingface_hub import errors

    try:
        yield
    # Not found in the cache, while the Hub could not be asked: this one is an EntryNotFoundError too.
    except errors.LocalEntryNotFoundError as error:
        raise InputError(
            f"{address} is not in the cache, and the Hugging Face Hub cannot be reached; go on line, or give a file"
        ) from error
    except (errors.GatedRepoError, errors.RepositoryNotFoundError) as error:
        raise InputError(
            f"{address}: the Hugging Face Hub has no such repository, or it is not open to you; check the name, or "
            "log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{address}: the repository has no such revision") from error
    except errors.EntryNotFoundError as error:
        raise InputError(f"{address}: the repository holds no such file; name one with hf://OWNER/REPO/FILE") from error
    except errors.HfHubHTTPError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{address}: the Hugging Face Hub refuses this ({reason})") from error
    except errors.HFValidationError as error:
        raise InputError(f"{address} is no name of a repository: {error}") from error
    # What is left is the connection's; its classes differ between versions of the library.
    except Exception as error:
        raise InputError(
            f"{address}: the Hugging Face Hub cannot be reached ({type(error).__name__}); go on line, or give a file"
        ) from error
