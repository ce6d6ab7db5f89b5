"""In which country an address is, as a file in MaxMind's format says: https://maxmind.github.io/MaxMind-DB/."""

from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import maxminddb

from attribution.domain.clicks import COUNTRY, NO_COUNTRY
from attribution.errors import SettingsError

from .address import Address

_SETTING: Final = "ATTRIBUTION_GEOIP_FILE"
_LOOKED_AT: Final = 1000
"""Networks at the beginning of the file, of which one at least must have a country."""


class Countries:
    """Looks into the file, which is mapped into memory and shared by all processes that do."""

    def __init__(self, file: Path) -> None:
        """Raises `SettingsError` for a file that is not there, is broken, or does not tell countries."""
        try:
            self._reader = maxminddb.open_database(file)
            told = any(_country_in(found) for _, found in islice(self._reader, _LOOKED_AT))
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise SettingsError(f"{_SETTING}: {file}: {error}") from error
        if not told:
            kind = self._reader.metadata().database_type
            self.close()
            raise SettingsError(f"{_SETTING}: {file}: no countries in a file of type {kind}")

    def country(self, address: Address) -> bytes:
        """ISO 3166-1 alpha-2, or `NO_COUNTRY`."""
        try:
            return _country_in(self._reader.get(address)) or NO_COUNTRY
        except (ValueError, maxminddb.InvalidDatabaseError):
            # A file of IPv4 only, or damage that did not show at start: no reason to fail a redirect.
            return NO_COUNTRY

    def close(self) -> None:
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def no_country(_: Address) -> bytes:
    """Where no file is configured."""
    return NO_COUNTRY


def _country_in(found: Any) -> bytes | None:
    """Of a record as GeoIP2's, GeoLite2's and DB-IP's files have it."""
    country = found.get("country") if isinstance(found, dict) else None
    code = country.get("iso_code") if isinstance(country, dict) else None
    if not isinstance(code, str) or COUNTRY.fullmatch(code.encode()) is None:
        return None
    return code.encode()
