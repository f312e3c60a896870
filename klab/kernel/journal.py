"""The store's append-only file: one record a line, one write() a record, so that a killed process loses nothing that it had acknowledged."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from klab.errors import KlabError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FileJournal:
    """Records in a file of mode 0600 (made where it is missing); satisfies klab.controlplane.store.Journal.

    It survives the death of its process at any moment (what write() took is the kernel's), not the loss of power: no lab outlives its machine.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; cut off a torn last line, which was never acknowledged."""
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        content = path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        os.ftruncate(self._file, self._size)

    def read(self) -> list[bytes]:
        """Give all records."""
        return self._path.read_bytes().splitlines()

    def append(self, record: bytes) -> None:
        """Add one record; KlabError (and the file as before) where the disk does not take it whole."""
        line = record + b"\n"
        try:
            written = os.write(self._file, line)
            failure = None if written == len(line) else f"only {written} of {len(line)} bytes were written"
        except OSError as error:
            failure = str(error.strerror)
        if failure:
            os.ftruncate(self._file, self._size)
            raise self._refusal(failure)
        self._size += len(line)

    def replace(self, records: Sequence[bytes]) -> None:
        """Put these records in the place of all others: a new file is written beside, then renamed over the old one."""
        content = b"".join(record + b"\n" for record in records)
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            written = os.write(file, content)
            failure = None if written == len(content) else f"only {written} of {len(content)} bytes were written"
            if failure is None:
                fresh.rename(self._path)
        except OSError as error:
            failure = str(error.strerror)
        if failure:
            os.close(file)
            fresh.unlink(missing_ok=True)
            raise self._refusal(failure)
        os.close(self._file)
        self._file, self._size = file, len(content)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _refusal(self, failure: str) -> KlabError:
        """Give the error for a disk that does not take a record."""
        return KlabError(f"cannot write the lab's journal {self._path}: {failure}; make room there (`df {self._path.parent}`) and try again")
