"""The files that images bring: written once for a lab; a container's file system begins with them (klab.kernel.rootfs)."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import klab
from klab.kubelet.images.catalog import contents, image_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DIRECTORY = "images"


def ensure_images(run_dir: Path, wishes: Iterable[tuple[str, str]]) -> None:
    """Give containers (image, root_dir) the files of their images, before their file systems are mounted for the first time."""
    for image, root_dir in wishes:
        _ensure(run_dir, image, root_dir)


def _ensure(run_dir: Path, image: str, root_dir: str) -> None:
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
