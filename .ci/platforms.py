"""Resolve the core's dependencies for systems and Pythons that are not at hand, from wheels alone; installs nothing.

    python .ci/platforms.py [--out docs/platforms.md]

It needs uv (`pip install uv`) and the package index. The newest versions and the oldest that pyproject.toml allows are
resolved; a row fails where a package has no wheel.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PLATFORMS = {
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux ARM64": "aarch64-manylinux_2_28",
    "macOS 14 ARM64": "aarch64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
}
KINDS = {"newest": "highest", "oldest": "lowest-direct"}
SHOWN = ("numpy", "onnxruntime", "av", "pillow")


def main() -> None:
    """Resolve all, print a table, and fail if one cannot be resolved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="a Markdown file for the table")
    out = parser.parse_args().out
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        raise SystemExit("uv is missing; pip install uv")
    head = ["system", "Python", *(f"{kind}: {package}" for kind in KINDS for package in SHOWN)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    failures = []
    for system, platform in PLATFORMS.items():
        for python in PYTHONS:
            cells = []
            for kind, resolution in KINDS.items():
                versions, error = resolve(uv, platform, python, resolution)
                cells += [versions.get(package, "–") for package in SHOWN]
                if error:
                    failures.append(f"{system}, Python {python}, {kind}: {error}")
            lines.append(f"| {' | '.join([system, python, *cells])} |")
            print(lines[-1], flush=True)
    print("\n".join(failures))
    if out is not None:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    raise SystemExit(bool(failures))


def resolve(uv: str, platform: str, python: str, resolution: str) -> tuple[dict[str, str], str]:
    """Return the versions by package, or none and the reason."""
    command = [uv, "pip", "compile", "pyproject.toml", "--quiet", "--no-header", "--no-annotate", "--only-binary=:all:"]
    command += ["--python-version", python, "--python-platform", platform, "--resolution", resolution]
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}  # what PyAV's wheels need
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return {}, " ".join(done.stderr.split())
    return dict(re.findall(r"^([\w.-]+)==(\S+)", done.stdout, re.MULTILINE)), ""


if __name__ == "__main__":
    main()
