"""A small disk for DATA_DIR alone, to be filled to its last byte."""

import errno
import os
import subprocess
from pathlib import Path

_SIZE = "24m"
_BLOCK = b"\0" * 4096


class Disk:
    """A tmpfs at `path`. Only root may mount one; for others `fillable` is false, and it is a plain directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ballast = path / "ballast"
        path.mkdir()
        self.fillable = self._mount()

    def _mount(self) -> bool:
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0755", "tmpfs", str(self._path)]
        return os.geteuid() == 0 and subprocess.run(mounting, check=False, capture_output=True).returncode == 0

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while ballast.write(_BLOCK):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self.fillable:
            # Lazily: a process that is just ending may hold a file a moment longer.
            subprocess.run(["umount", "--lazy", str(self._path)], check=True)
