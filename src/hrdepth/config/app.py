"""The page: which networks, which runs, and what an upload may be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AppConfig", "UploadLimits"]


@dataclass(frozen=True)
class UploadLimits:
    """How large an image or clip may be; larger ones are refused with a sentence.

    Attributes:
        megabytes: of a file.
        megapixels: of an image, or of a frame of a clip.
        side: pixels of its longer side.
        seconds: of a clip.
    """

    megabytes: float = 50.0
    megapixels: float = 40.0
    side: int = 16384
    seconds: float = 20.0


@dataclass(frozen=True)
class AppConfig:
    """The page in the browser.

    Attributes:
        weights: weights files to choose from, names or `hf://OWNER/REPO`; none for all that are on board.
        runs: run folders of `hrdepth train` to follow, or folders of such folders.
        host: the address to listen on; 0.0.0.0 lets other machines in.
        port: to listen on; 0 takes a free one.
        limits: what an upload may be.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        open: open the page in a browser.
    """

    weights: tuple[str, ...] | str = ()
    runs: tuple[str, ...] | str = ()
    host: str = "127.0.0.1"
    port: int = 7860
    limits: UploadLimits = UploadLimits()
    device: str | None = None
    open: bool = False
