"""Look-up by name, and checks of a config's options, with helpful errors."""

from __future__ import annotations

import ast
import difflib
import inspect
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from hrdepth.errors import InputError

__all__ = ["check_names", "check_options", "lookup", "registered"]

T = TypeVar("T")

# Names of types in messages.
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", NoneType: "null"}


def lookup(registry: Mapping[str, T], name: str, what: str) -> T:
    """Return `registry[name]`.

    Raises:
        InputError: there is no such name; the message lists the valid ones and suggests the nearest.

    Example:
        >>> lookup({"hrdepth": 1, "monodepth2": 2}, "hrdeph", "network")
        Traceback (most recent call last):
        ...
        hrdepth.errors.InputError: unknown network 'hrdeph': did you mean 'hrdepth'? Valid: hrdepth, monodepth2
    """
    if name in registry:
        return registry[name]
    near = difflib.get_close_matches(name, registry, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise InputError(f"unknown {what} '{str(name)[:60]}': {hint}Valid: {', '.join(sorted(registry))}")


def registered(module: str, registry: str) -> dict[str, None]:
    """Return the names in a registry, from its source as long as it is not imported: that may import PyTorch.

    Args:
        module: a package of hrdepth.
        registry: a dictionary of its `__init__.py`.

    Example:
        >>> "posenet" in registered("hrdepth.networks", "POSE_NETWORKS")
        True
    """
    if module in sys.modules:
        return dict.fromkeys(getattr(sys.modules[module], registry))
    source = Path(__file__).parent.joinpath(*module.split(".")[1:], "__init__.py").read_text(encoding="utf-8")
    (content,) = (
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == registry
    )
    assert isinstance(content, ast.Dict)
    return {str(key.value): None for key in content.keys if isinstance(key, ast.Constant)}


def check_options(kind: Callable[..., Any], options: Mapping[str, Any], what: str, given: Collection[str] = ()) -> None:
    """Check that `kind` has every option, and that each value has the annotated type.

    Args:
        kind: a class or function of a registry.
        options: values of its arguments that a config sets, by name.
        what: what the options belong to, for messages.
        given: arguments that are not options, since the caller sets them.

    Raises:
        InputError: an unknown option (the message lists the valid ones), or a value of another type. A whole number is
            a number too; true and false are not.

    Example:
        >>> def network(width: int = 64, weights: str | None = None): ...
        >>> check_options(network, {"width": 32, "weights": None}, "network 'mine'")
        >>> check_options(network, {"width": "big"}, "network 'mine'")
        Traceback (most recent call last):
        ...
        hrdepth.errors.InputError: the option width 'big' of network 'mine' must be a whole number
    """
    check_names(kind, options, what, given)
    parameters = inspect.signature(kind, eval_str=True).parameters
    for option, value in options.items():
        annotation = parameters[option].annotation
        if not _fits(value, annotation):
            raise InputError(f"the option {option} {value!r} of {what} must be {_words(annotation)}")


def check_names(kind: Callable[..., Any], names: Collection[str], what: str, given: Collection[str] = ()) -> None:
    """Check that `kind` has an option of every name; see `check_options`."""
    valid = [name for name in inspect.signature(kind).parameters if name not in given]
    for name in names:
        if name not in valid:
            raise InputError(f"{what} has no option '{name}'; it has {', '.join(valid) or 'none'}")


def _fits(value: object, annotation: Any) -> bool:
    """Return whether a value has the annotated type; without an annotation, any value has."""
    kind, parts = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Any, inspect.Parameter.empty):
        return True
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is Literal:
        return value in parts
    if kind in (int, float):  # in Python a bool is an int, and an int is not a float
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    if _is_list(kind):
        return isinstance(value, list | tuple) and all(_fits(item, parts[0]) for item in value if parts)
    return isinstance(value, kind)


def _words(annotation: Any) -> str:
    """Describe in words which values `_fits` accepts."""
    kind, parts = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, UnionType):
        return " or ".join(_words(part) for part in parts if not _is_object(part))
    if kind is Literal:
        return f"one of {', '.join(map(repr, parts))}"
    if _is_list(kind):
        return "a list" + (f" of which each is {_words(parts[0])}" if parts else "")
    if issubclass(kind, Mapping):
        return "names with values"
    return WORDS.get(kind, f"a {kind.__name__}")


def _is_object(kind: Any) -> bool:
    """Return whether a config, which has text and numbers, cannot contain such a value."""
    return isinstance(kind, type) and not (kind in WORDS or issubclass(kind, Mapping | Sequence))


def _is_list(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Sequence) and kind is not str
