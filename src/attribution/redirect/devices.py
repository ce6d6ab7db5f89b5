"""On what a user agent says it runs: the first pattern that it fits."""

import re
from typing import Final

from attribution.domain.clicks import Device

_PATTERNS: Final[tuple[tuple[re.Pattern[str], Device], ...]] = (
    # Televisions, consoles and glasses, whose agents look like phones' and computers'.
    (
        re.compile(
            r"(?i:(?:smart|apple|android|google|hbb)[- ]?tv)|BRAVIA|Web0S|CrKey|Roku|; AFT\w+"
            r"|PlayStation|Xbox|Nintendo|OculusBrowser"
        ),
        Device.OTHER,
    ),
    # Browsers on Android phones say Mobile and on tablets do not; apps' own agents say it on neither. `Tablet PC` is
    # what Internet Explorer says on computers.
    (re.compile(r"iPad|\bTablet\b(?! PC)|Kindle|PlayBook|Android(?!.*Mobile).* AppleWebKit/"), Device.TABLET),
    (re.compile(r"Mobi|iPhone|iPod|Android|Opera Mini|BlackBerry|KAIOS"), Device.MOBILE),
    (re.compile(r"Windows|Macintosh|Mac OS X|CrOS|X11|Linux (?:x86_64|i686|aarch64)"), Device.DESKTOP),
)


def device_of(agent: str) -> Device:
    """`agent`: not empty."""
    return next((device for pattern, device in _PATTERNS if pattern.search(agent)), Device.OTHER)
