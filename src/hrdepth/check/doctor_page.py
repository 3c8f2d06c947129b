"""Write the doctor's page: one HTML file with everything in it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from hrdepth.check.finding import KINDS, Finding
from hrdepth.check.recording_faults import Recording
from hrdepth.errors import InputError
from hrdepth.io.files import write_text
from hrdepth.io.images import read_image
from hrdepth.io.provenance import provenance
from hrdepth.prepare.motion import STILL

__all__ = ["write_page"]

THUMBNAIL = (240, 160)
CHART = (720, 80)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.verdict { padding: .6rem 1rem; border-left: 6px solid; background: #f6f6f6; font-weight: 600 }
.good { border-color: #2a7a3a } .bad { border-color: #b02a2a }
.finding { margin: 1rem 0; padding: .5rem 1rem; border-left: 4px solid #b02a2a; background: #fff6f5 }
.ignored { border-color: #999; background: #f6f6f6 }
img { margin: .25rem .25rem 0 0; max-width: 100%; vertical-align: top }
table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
small { color: #666 }
"""


def write_page(
    verdict: str,
    findings: Sequence[Finding],
    counted: Sequence[Finding],
    recordings: Sequence[Recording],
    page: Path,
    root: Path,
) -> None:
    """Write the page atomically.

    Raises:
        InputError: its folder does not exist or cannot be written.
    """
    if not page.parent.is_dir():
        raise InputError(f"the folder of the page {page} does not exist; make it, or choose another --page")
    about = provenance()
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{_text(root.resolve().name)}: {_text(verdict)}</title><style>{STYLE}</style>",
        f"<h1>Examination of {_text(root.resolve().name)}</h1>",
        f"<p class='verdict {'bad' if counted else 'good'}'>{_text(verdict)}</p>",
        *(_finding(finding, ignored=finding not in counted) for finding in findings),
        *(_recording(part) for part in recordings),
        "<h2>What was looked for</h2><table>",
        *(f"<tr><td>{_text(kind)}<td>{_text(what)}" for kind, what in KINDS.items()),
        f"</table><p><small>{_text(about['command'])}, {_text(about['date'])}, hrdepth "
        f"{_text(about['versions'].get('hrdepth', ''))}</small></html>",
    ]
    write_text(page, "\n".join(parts) + "\n")


def _finding(finding: Finding, *, ignored: bool) -> str:
    name = f"{finding.kind}{' (ignored)' if ignored else ''}"
    images = "".join(_image(path) for path in finding.images)
    return (
        f"<div class='finding{' ignored' if ignored else ''}'><b>{_text(name)}</b> in {_text(finding.where)}: "
        f"{_text(finding.sentence)}<br>{images}</div>"
    )


def _recording(recording: Recording) -> str:
    facts = "".join(f"<tr><td>{_text(name)}<td>{_text(value)}" for name, value in recording.facts.items())
    images = "".join(_image(path) for path in recording.thumbnails)
    mask = "" if recording.mask is None else f"<p>Left out of the loss:<br>{_image(recording.mask)}</p>"
    return f"<h2>{_text(recording.name)}</h2><table>{facts}</table>{images}{_chart(recording)}{mask}"


def _chart(recording: Recording) -> str:
    """Draw the motion of each step as a bar; below the line the camera stands still."""
    if not recording.motions:
        return ""
    width, height = CHART
    top = max(max(recording.motions.values()), 2 * STILL)
    first, last = recording.numbers[0], max(recording.numbers[-1], recording.numbers[0] + 1)
    wide = max(1.0, width / (last - first + 1) - 0.5)
    bars = "".join(
        f"<rect x='{(number - first) * width / (last - first + 1):.1f}' width='{wide:.1f}' "
        f"y='{height * (1 - amount / top):.1f}' height='{height * amount / top:.1f}'/>"
        for number, amount in recording.motions.items()
    )
    line = height * (1 - STILL / top)
    return (
        f"<p><small>motion a step, up to {100 * top:.1f} % of the longer side; frames {first} to {last}</small><br>"
        f"<svg width={width} height={height} fill='#4a6fa5'>{bars}"
        f"<line x1=0 x2={width} y1={line:.1f} y2={line:.1f} stroke='#b02a2a'/></svg></p>"
    )


def _image(path: Path) -> str:
    try:
        image = read_image(path)
    except InputError:
        return ""
    image.thumbnail(THUMBNAIL, Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f"<img alt='{_text(path.name)}' title='{_text(path.name)}' src='data:image/jpeg;base64,{data}'>"


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
