"""The secrets of an installation: given by settings, or made once at first start into DATA_DIR."""

import os
import re
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attribution.errors import SettingsError
from attribution.settings import Settings

_KEY_BYTES = 32
_KEY_BYTES_MIN = 16
_KEY_BYTES_MAX = 64
_KEY_ID_MAX = 255
_ADMIN_KEY_LENGTH_MIN = 16
_CLICK_ID_KEY = re.compile(r"\s*([0-9]{1,3}):((?:[0-9a-fA-F]{2})+)\s*", re.ASCII)


def admin_key_path(settings: Settings) -> Path:
    return settings.data_dir / "admin.key"


def load_admin_key(settings: Settings) -> str:
    if settings.admin_key is not None:
        return settings.admin_key
    path = admin_key_path(settings)
    key = _read_or_make(path, lambda: secrets.token_urlsafe(_KEY_BYTES))
    if len(key) < _ADMIN_KEY_LENGTH_MIN:
        raise SettingsError(f"{path}: a key has at least {_ADMIN_KEY_LENGTH_MIN} characters")
    return key


def load_click_id_keys(settings: Settings) -> dict[int, bytes]:
    """Key id to secret. Raises `SettingsError`."""
    if settings.click_id_keys is not None:
        return _parse_click_id_keys(settings.click_id_keys, "ATTRIBUTION_CLICK_ID_KEYS")
    path = settings.data_dir / "click_id.keys"
    return _parse_click_id_keys(_read_or_make(path, lambda: f"1:{secrets.token_hex(_KEY_BYTES)}"), str(path))


def _parse_click_id_keys(text: str, source: str) -> dict[int, bytes]:
    keys: dict[int, bytes] = {}
    for part in text.split(","):
        match = _CLICK_ID_KEY.fullmatch(part)
        if match is None:
            raise SettingsError(f"{source}: not of the form 1:HEX,2:HEX")
        key_id, key = int(match[1]), bytes.fromhex(match[2])
        if key_id > _KEY_ID_MAX or key_id in keys:
            raise SettingsError(f"{source}: key ids are unique and from 0 to {_KEY_ID_MAX}")
        if not _KEY_BYTES_MIN <= len(key) <= _KEY_BYTES_MAX:
            raise SettingsError(f"{source}: key {key_id} must have {_KEY_BYTES_MIN} to {_KEY_BYTES_MAX} bytes")
        keys[key_id] = key
    return keys


def _read_or_make(path: Path, make: Callable[[], str]) -> str:
    try:
        if not path.exists():
            _write_once(path, make())
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _write_once(path: Path, text: str) -> None:
    """A link, unlike a rename, never replaces: of first starts at once one wins and all read its key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
