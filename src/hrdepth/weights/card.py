"""The card of a network: what it is, what it was made of, how good it is and what it cannot do, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from hrdepth.config.safe_yaml import load_yaml
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import existing_file
from hrdepth.io.tables import METRIC_HEADINGS
from hrdepth.registry import check_names
from hrdepth.weights.checkpoint import Checkpoint
from hrdepth.weights.find import bundled

__all__ = ["Card", "card_text", "read_card"]


@dataclass(frozen=True)
class Card:
    """A maker's description of a network, stored in the weights file.

    Attributes:
        title: a heading.
        summary: what the network is for.
        data: what it was trained on, and that data's terms.
        terms: the weights' own terms in a few words, such as "non-commercial use only".
        recipe: how it was trained.
        limits: what it cannot do, a sentence each.
        notes: to the numbers, a sentence each.
        results: metrics by set and row: `{set: {"images": number, row: {metric: value}}}`.
        protocol: how depth was compared, in words.
    """

    title: str = ""
    summary: str = ""
    data: str = ""
    terms: str = ""
    recipe: str = ""
    limits: Sequence[str] = ()
    notes: Sequence[str] = ()
    results: Mapping[str, Any] = field(default_factory=dict)
    protocol: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Card:
        """Return the card stored in a weights file; keys of a later version are left out."""
        names = {one.name for one in fields(cls)}
        return cls(**{key: value for key, value in facts.items() if key in names})

    def as_dict(self) -> dict[str, Any]:
        """Return what is set, JSON-able."""
        return {key: value for key, value in asdict(self).items() if value}


def read_card(facts: str | Path | None, results: str | Path | None, start: Card) -> Card:
    """Read a card from files.

    Args:
        facts: a YAML or JSON file with fields of `Card`; None leaves those of `start`.
        results: a JSON file with `results` by set and row, or `metrics.json` of `hrdepth evaluate`; None leaves those
            of `start`.
        start: the card to complete.

    Raises:
        InputError: a file is missing, cannot be read, or says something that a card does not have.
    """
    card = start
    if facts is not None:
        found = _read(facts, "the file of the card")
        check_names(Card, found, f"the card {facts}")
        _check_kinds(found, facts)
        if found.get("results"):
            found["results"] = _checked_results(found, facts)
        card = replace(card, **found)
    if results is not None:
        found = _read(results, "the file of results")
        card = replace(card, results=_checked_results(found, results), protocol=_protocol(found))
    return card


def card_text(checkpoint: Checkpoint, source: str) -> str:
    """Return the card of weights as Markdown, with the front matter that the Hugging Face Hub reads.

    Args:
        checkpoint: as read from its file.
        source: what `Predictor.from_pretrained` takes to load it, as Python code.
    """
    card, licence = Card.of(checkpoint.card), checkpoint.licence or "not stated: ask who made it"
    name, path = checkpoint.name or "unnamed", checkpoint.path
    # The ONNX files of bundled networks need no PyTorch.
    package = "hrdepth" if path is not None and path.resolve() in bundled().values() else "'hrdepth[train]'"
    parts = [
        _front_matter(checkpoint.licence),
        f"# {card.title or name}",
        card.summary or "A network that sees depth in one image, trained by `hrdepth`.",
        _table(checkpoint, name, licence),
        f"## Use\n\n    pip install {package}\n\n"
        f'    from hrdepth import Predictor\n\n    prediction = Predictor.from_pretrained({source})("street.jpg")\n'
        + (
            "    prediction.depth  # (H,W), in network units; prediction.scale says what a unit is"
            if checkpoint.scale.has_depth
            else "    prediction.disparity  # (H,W); there is no depth, as prediction.scale says"
        ),
        f"## Data and terms\n\n{card.data or _data(checkpoint.provenance)}\n\nLicence of the weights: {licence}."
        + (f" In short: {card.terms}." if card.terms else ""),
        f"## How it was trained\n\n{_joined(card.recipe, _training(checkpoint.provenance))}",
        f"## Numbers\n\n{_numbers(card)}",
        "## What it cannot do\n\n" + _list(card.limits or ("Its limits have not been described yet.",)),
    ]
    return "\n\n".join(parts) + "\n"


def _read(path: str | Path, what: str) -> dict[str, Any]:
    file = existing_file(path, what)
    try:
        found = load_yaml(file.read_text(encoding="utf-8"))  # JSON is YAML too
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{what} {path} cannot be read ({' '.join(str(error).split())})") from error
    if not isinstance(found, dict):
        raise InputError(f"{what} {path} holds no names with values")
    return found


def _check_kinds(found: Mapping[str, Any], path: str | Path) -> None:
    """Check that fields of a card have the kind that they should: text, sentences, or names with values."""
    for one in fields(Card):
        value = found.get(one.name, one.default)
        if one.name in ("limits", "notes"):
            right, wanted = isinstance(value, list | tuple), "a list of sentences"
            right = right and all(isinstance(sentence, str) for sentence in value)
        elif one.name in ("results", "protocol"):
            right, wanted = one.name not in found or isinstance(value, dict), "names with values"
        else:
            right, wanted = isinstance(value, str), "text"
        if not right:
            raise InputError(f"the card {path}: {one.name} must be {wanted}, not {value!r:.60}")


def _checked_results(found: dict[str, Any], path: str | Path) -> dict[str, Any]:
    try:
        return _results(found, path)
    except InputError:
        raise
    except MALFORMED as error:
        raise InputError(f"the file of results {path} is damaged ({str(error)[:200]})") from error


def _results(found: dict[str, Any], path: str | Path) -> dict[str, Any]:
    sets = found.get("results")
    if sets is None and isinstance(found.get("metrics"), dict):
        name = str(found.get("ground_truth", "images"))
        sets = {name: {"pictures": found.get("images"), "network": found["metrics"]}}
    if not isinstance(sets, dict) or not any(_rows(one) for one in sets.values()):
        raise InputError(
            f"the file of results {path} has no 'results' by set and row, and no 'metrics' as `hrdepth evaluate` writes"
        )
    # Stored cards and earlier files of results call the number of images `pictures`.
    return {
        name: {"pictures": one.get("images", one.get("pictures")), **_rows(one)}
        for name, one in sets.items()
        if _rows(one)
    }


def _rows(one: Any) -> dict[str, dict[str, float]]:
    """Return the rows of a set: those that have metrics."""
    if not isinstance(one, dict):
        return {}
    return {
        name: {metric: float(row[metric]) for metric in METRIC_HEADINGS if metric in row}
        for name, row in one.items()
        if isinstance(row, dict) and "abs_rel" in row
    }


def _protocol(found: dict[str, Any]) -> dict[str, str]:
    protocol = found.get("protocol") or {}
    words = protocol.get("in_words", protocol) if isinstance(protocol, dict) else {}
    return {key: words[key] for key in ("scaling", "crop", "range") if isinstance(words.get(key), str)}


def _front_matter(licence: str | None) -> str:
    # The Hub lists licences by their identifiers in lower case, and "other" for the rest.
    known = "other" if licence is None or " " in licence else licence.lower()
    lines = [f"license: {known}", "library_name: hrdepth", "pipeline_tag: depth-estimation"]
    return "\n".join(["---", *lines, "tags: [monocular-depth, self-supervised, hrdepth]", "---"])


def _table(checkpoint: Checkpoint, name: str, licence: str) -> str:
    config, network, (height, width) = checkpoint.network_config, checkpoint.network, checkpoint.size
    options = ", ".join(f"{key} {value}" for key, value in config.options.items())
    kind = config.name + (f" ({options})" if options else "")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    rows = {
        "weights": name,
        "network": f"{kind}, {parameters / 1e6:.1f} million parameters",
        "images": f"resized to {width}x{height} (width x height), as in training",
        "depth": f"{network.min_depth:g} to {network.max_depth:g} units; {network.scale.sentence}",
        "licence": licence,
        "SHA-256 of the tensors": f"`{checkpoint.sha256}`",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])


def _data(provenance: Mapping[str, Any]) -> str:
    data = provenance.get("data")
    if not data:
        return "The weights do not say what they were trained on; its terms may bind their use."
    return f"Trained on: {'; '.join(data)}. The terms of that data may bind the use of the weights."


def _training(provenance: Mapping[str, Any]) -> str:
    facts = {"command": "`{}`", "step": "{} steps", "date": "{}", "seed": "seed {}"}
    found = [text.format(provenance[key]) for key, text in facts.items() if provenance.get(key) is not None]
    found += [f"{name} from {origin}" for name, origin in (provenance.get("started_from") or {}).items()]
    if teacher := provenance.get("teacher"):
        found.append(_teacher(teacher))
    versions = provenance.get("versions") or {}
    found += [f"{name} {versions[name]}" for name in ("hrdepth", "torch", "timm") if name in versions]
    return f"Made by: {', '.join(found)}." if found else "The weights do not say how they were made."


def _teacher(teacher: Mapping[str, Any]) -> str:
    """Describe the teacher of a provenance: a weights file, or one of labels (`teachers.base.Teacher.facts`)."""
    if "meaning" not in teacher:
        return f"teacher {teacher.get('network')} ({teacher.get('file')}, SHA-256 {teacher.get('sha256')})"
    licence = teacher.get("licence") or "not stated"
    facts = f"licence {licence}; its maps are {teacher['meaning']}; {teacher.get('digest')}"
    return f"teacher {teacher.get('name')} ({facts})"


def _numbers(card: Card) -> str:
    if not card.results:
        return _joined("Not measured.", _list(card.notes))
    parts = []
    for name, rows in card.results.items():
        images = rows.get("images", rows.get("pictures"))
        table = [f"| {name}, {images} images | {' | '.join(METRIC_HEADINGS.values())} |", "|---" * 8 + "|"]
        for row, values in rows.items():
            if row not in ("images", "pictures"):
                cells = " | ".join(f"{values[metric]:.3f}" if metric in values else "" for metric in METRIC_HEADINGS)
                table.append(f"| {row} | {cells} |")
        parts.append("\n".join(table))
    if card.protocol:
        how = "; ".join(f"{key}: {text}" for key, text in card.protocol.items())
        parts.append(f"How depth was compared: {how}.")
    return _joined(*parts, _list(card.notes))


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
