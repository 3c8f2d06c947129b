"""How long PyTorch's threads hold their cores when they have nothing to do."""

from __future__ import annotations

import os

__all__ = ["wait_briefly"]

# libgomp turns 300,000 times by itself; and 1,000 times where it knows that threads are more than cores, which slows
# PyTorch's own networks down.
SPINS = 10_000


def wait_briefly() -> None:
    """Let threads that wait for work give their cores to others sooner; call before PyTorch is imported.

    PyTorch's threads (of GNU's libgomp, in its builds for Linux) turn in a loop after each piece of work, for the next
    one that may come. Where the network runs in OpenVINO or ONNX Runtime, whose own threads want the cores then, that
    costs milliseconds an image. What the user has set stays: `GOMP_SPINCOUNT`, `OMP_WAIT_POLICY`.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = str(SPINS)
