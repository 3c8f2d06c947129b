"""A hook of the documentation site: it carries the page without a server, with the bundled network, to try."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hrdepth.config import PackConfig
from hrdepth.errors import InputError
from hrdepth.web.pack import pack_page
from hrdepth.weights.find import DEFAULT

log = logging.getLogger("mkdocs.hooks")
FOLDER = "demonstration"
LINK = f'**<a href="../{FOLDER}/index.html">Try it here</a>**, with the bundled network.\n\n'


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Add a link to it to the page about it."""
    if page.file.src_uri != "web.md":
        return markdown
    title, _, rest = markdown.partition("\n\n")
    return f"{title}\n\n{LINK}{rest}"


def on_post_build(config: Any) -> None:
    """Write it into the site; without ONNX Runtime Web, off line, the site is built without it."""
    try:
        log.info(pack_page(PackConfig(DEFAULT, web=str(Path(config["site_dir"]) / FOLDER), overwrite=True)))
    except InputError as error:
        log.info("the site has no demonstration: %s", error)
