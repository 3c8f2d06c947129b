"""torch.compile where it works, plain code where it does not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

__all__ = ["compiled"]

log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function, what: str) -> Function:
    """Compile for training at the first call; say so, since it takes a while, and go on without where that fails.

    Args:
        function: of tensors (or containers of them) whose shapes stay the same.
        what: its name in messages.

    Returns:
        A function with the same result, up to rounding.

    Note:
        Without gradients the function runs as it is: validation has batches of other sizes, each of which would be
        compiled anew. So it does where a compiler is missing or broken, which is no error; one line says so.
    """
    candidate = torch.compile(function, dynamic=False)
    state: dict[str, Callable[..., Any]] = {}

    def call(*arguments: Any) -> Any:
        if not torch.is_grad_enabled():
            return function(*arguments)
        if "chosen" in state:
            return state["chosen"](*arguments)
        log.info("compiling %s; the first step takes a minute or two longer", what)
        try:
            result = candidate(*arguments)
            state["chosen"] = candidate
        except torch._dynamo.exc.TorchDynamoException as error:
            log.warning("%s cannot be compiled here and runs uncompiled: %s", what, _first_line(error))
            state["chosen"] = function
            result = function(*arguments)
        return result

    return cast(Function, call)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
