"""ONNX Runtime Web: fetched once from npm, by a pinned hash, into the user's cache; or from a file."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from base64 import b64encode
from importlib import metadata
from pathlib import Path
from urllib.request import urlopen

from hrdepth.errors import InputError
from hrdepth.io.files import existing_file, user_cache, write_bytes

__all__ = ["FILES", "VERSION", "WEBGPU", "is_fetched", "runtime_files"]

VERSION = "1.30.0"
ADDRESS = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
# As `npm view onnxruntime-web dist.integrity` prints it.
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
MOST_BYTES = 100_000_000
SECONDS = 60

# Files of the page's folder `runtime`, and of which of the archive each is made. Their names end in .js, as not every
# web server gives .mjs the type that browsers demand; WebAssembly is compressed, as few servers do it.
WASM = {
    "ort.wasm.js": "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.js": "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm.gz": "ort-wasm-simd-threaded.wasm",
}
WEBGPU = {
    "ort.webgpu.js": "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.js": "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm.gz": "ort-wasm-simd-threaded.asyncify.wasm",
}
FILES = WASM | WEBGPU
LICENCES = ("LICENSE", "ThirdPartyNotices.txt")


def runtime_files(archive: str | None = None) -> dict[str, bytes]:
    """Return the files of the page's folder `runtime` by name, with licence and notices.

    Args:
        archive: the npm package as a file, onnxruntime-web-VERSION.tgz; None takes it from the cache, or from npm.

    Raises:
        InputError: npm cannot be reached, or what came, or the file, is another than that of the pinned hash.
    """
    folder = _folder()
    if archive is not None or not is_fetched():
        content = _download() if archive is None else existing_file(archive, "the runtime's archive").read_bytes()
        _check(content, archive or ADDRESS)
        _unpack(content, folder)
    return {name: (folder / name).read_bytes() for name in FILES} | _licences()


def is_fetched() -> bool:
    """Return whether the user's cache has all files, so that nothing need be fetched."""
    return all((_folder() / name).is_file() for name in FILES)


def _folder() -> Path:
    return user_cache("onnxruntime-web") / f"onnxruntime-web-{VERSION}"


def _download() -> bytes:
    try:
        with urlopen(ADDRESS, timeout=SECONDS) as answer:  # an https address of ours
            content: bytes = answer.read(MOST_BYTES)
    except OSError as error:
        raise InputError(
            f"ONNX Runtime Web cannot be fetched from {ADDRESS} ({getattr(error, 'reason', error)}); connect to the "
            "internet once, or fetch that file elsewhere and name it with --runtime"
        ) from error
    return content


def _check(content: bytes, where: str) -> None:
    found = f"sha512-{b64encode(hashlib.sha512(content).digest()).decode()}"
    if found != INTEGRITY:
        raise InputError(f"{where} is not onnxruntime-web {VERSION}: its SHA-512 differs from the pinned one")


def _unpack(content: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        for name, source in FILES.items():
            member = archive.extractfile(f"package/dist/{source}")
            assert member is not None
            data = member.read()
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(folder / name, gzip.compress(data, mtime=0) if name.endswith(".gz") else data)


def _licences() -> dict[str, bytes]:
    """Return the licence and the notices of ONNX Runtime, which the Python package of the same source carries."""
    installed = metadata.distribution("onnxruntime").locate_file("onnxruntime")
    return {name: Path(str(installed), name).read_bytes() for name in LICENCES}
