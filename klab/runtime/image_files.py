"""The files that images bring: written once for a lab; a container's file system begins with them (klab.kernel.rootfs)."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import klab
from klab.kubelet.images.catalog import contents, image_name

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = "images"


def ensure_image(run_dir: Path, image: str, root_dir: str) -> None:
    """Give a container that image's files, if it has any; before its file system is mounted for the first time."""
    files = contents(image)
    if not files:
        return
    layer = run_dir / DIRECTORY / image_name(image)
    if not layer.exists():
        _write(layer, files)
    directory = Path(root_dir)
    directory.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        (directory / "image").symlink_to(layer)


def _write(layer: Path, files: Mapping[str, str]) -> None:
    """Write the files beside, then rename, so that a layer is whole or not there."""
    fresh = layer.with_name(f"{layer.name}.new")
    for path, template in files.items():
        text = template.replace("{python}", sys.executable).replace("{package}", str(Path(klab.__file__).parents[1]))
        file = fresh / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    fresh.rename(layer)
