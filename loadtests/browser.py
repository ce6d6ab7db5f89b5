"""Taps as an Instagram in-app browser sends them, as bytes."""

from collections.abc import Iterable
from pathlib import Path

HEADERS_FILE = Path(__file__).with_name("in_app_browser.txt")
_VISITORS = 1000


def requests(slugs: Iterable[str]) -> bytes:
    """One whole request after another, each of a visitor who was here before."""
    headers = "\r\n".join(HEADERS_FILE.read_text().splitlines())
    return "".join(_request(slug, headers, number % _VISITORS) for number, slug in enumerate(slugs)).encode()


def _request(slug: str, headers: str, visitor: int) -> str:
    return (
        f"GET /{slug} HTTP/1.1\r\nHost: go.brand.example\r\n{headers}\r\n"
        f"Cookie: attribution_visitor=v{visitor:021d}\r\n\r\n"
    )
