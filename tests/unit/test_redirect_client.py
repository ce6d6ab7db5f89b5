"""What a request says about who sent it."""

import pytest
from tests.redirecting import BOT, BROWSER, ask, make_answerer, make_link, tap_reader

from attribution.domain.clicks import AgentClass
from attribution.redirect.address import NO_ADDRESS, AddressKeeper
from attribution.redirect.bounded import BoundedCache
from attribution.redirect.countries import no_country
from attribution.redirect.tap import Tap
from attribution.redirect.visitor import RandomPool, new_visitor
from attribution.settings import IpStorage

PEER = "192.0.2.1"
KEY = b"k" * 32


def tap_with(*headers: tuple[bytes, bytes]) -> Tap:
    return tap_reader().read("GET", b"/anna", b"", headers)


@pytest.mark.parametrize(
    ("cookie", "visitor"),
    [
        (b"attribution_visitor=abc", b"abc"),
        (b"a=1; attribution_visitor=abc; b=2", b"abc"),
        (b"a=1;attribution_visitor=abc", b"abc"),
        (b" ; ;=;; attribution_visitor=abc ;", b"abc"),
        (b"xattribution_visitor=no; attribution_visitorx=no", b""),
        (b"Attribution_Visitor=no", b""),
        (b'attribution_visitor="abc"', b""),
        (b"attribution_visitor=bad!; attribution_visitor=good", b"good"),
        (b"attribution_visitor=one; attribution_visitor=two", b"one"),
        (b"attribution_visitor", b""),
        (b"\xff\x00" * 9, b""),
        (b";" * 60_000, b""),
        (b"", b""),
    ],
)
def test_visitor_of_the_cookie(cookie: bytes, visitor: bytes) -> None:
    """The first well-formed visitor counts, whatever stands around it."""
    assert tap_with((b"cookie", cookie)).visitor == visitor


def test_several_cookie_headers() -> None:
    """Each Cookie header is read."""
    assert tap_with((b"cookie", b"a=1"), (b"cookie", b"attribution_visitor=abc")).visitor == b"abc"


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        (b"https://www.TikTok.com/@anna?x=1", b"www.tiktok.com"),
        (b"http://u:p@host.example:8080/", b"host.example"),
        (b"https://host.example", b"host.example"),
        (b"https://host.example?x", b"host.example"),
        (b"https://host.example#x", b"host.example"),
        (b"https://a@b@host.example/", b"host.example"),
        (b"android-app://com.google.android.gm/", b"com.google.android.gm"),
        (b"https://[2001:DB8::1]:443/", b"[2001:db8::1]"),
        (b"https://h\xc3\xb6st.example/", b""),
        (b"https://" + b"a" * 254 + b"/", b""),
        (b"https:///path", b""),
        (b"/path", b""),
        (b"https://host.example\x00/", b""),
        (b"https://host .example/", b""),
        (b"\xff", b""),
        (b"", b""),
        (b"https://" + b"@" * 60_000, b""),
    ],
)
def test_referrer_host(referrer: bytes, host: bytes) -> None:
    """A plausible host is recorded in lower case, without user, port and path."""
    assert tap_with((b"referer", referrer)).said.referrer_host == host


def test_a_click_without_a_referrer_counts() -> None:
    """QR codes, apps and mail send no Referer."""
    assert ask(make_link()).click.referrer_host is None


@pytest.mark.parametrize(
    ("forwarded_for", "hops", "address"),
    [
        ([], 0, PEER),
        ([b"6.6.6.6"], 0, PEER),
        ([b"6.6.6.6, 203.0.113.9"], 1, "203.0.113.9"),
        ([b"6.6.6.6, 203.0.113.9, 10.0.0.1"], 2, "203.0.113.9"),
        ([b"6.6.6.6", b"203.0.113.9", b"10.0.0.1"], 2, "203.0.113.9"),
        ([b"203.0.113.9"], 1, "203.0.113.9"),
        ([b"203.0.113.9"], 2, PEER),
        ([], 1, PEER),
        ([b""], 1, PEER),
        ([b"6.6.6.6, "], 1, PEER),
    ],
)
def test_client_address(forwarded_for: list[bytes], hops: int, address: str) -> None:
    """The entry that the outermost of N trusted proxies wrote; of fewer entries none is believed."""
    headers = [(b"x-forwarded-for", value) for value in forwarded_for]
    asked = ask(make_link(), *headers, answerer=make_answerer(trusted_proxies=hops), peer=PEER)
    assert asked.click.ip == address.rpartition(".")[0] + ".0"


def keeper_of(mode: IpStorage, key: bytes = KEY) -> AddressKeeper:
    return AddressKeeper(mode, key, no_country)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", b"203.0.113.0"),
        (" 203.0.113.77:4711 ", b"203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", b"2001:db8:1::"),
        ("[2001:db8:1::9]:443", b"2001:db8:1::"),
        ("fe80::1%eth0", b"fe80::"),
        ("::ffff:203.0.113.77", b"203.0.113.0"),
        ("unknown", b""),
        ("1.2.3", b""),
        ("1.2.3.4.5", b""),
        ("\xff", b""),
        ("1" * 10_000, b""),
        ("", b""),
        (None, b""),
    ],
)
def test_truncated_addresses(address: str | None, kept: bytes) -> None:
    """A /24 of IPv4 and a /48 of IPv6 is kept; garbage is nothing."""
    assert keeper_of(IpStorage.TRUNCATED).keep(address).text == kept


def test_hashed_addresses() -> None:
    """A keyed hash: the same for the same address however written, another under another key."""
    keeper = keeper_of(IpStorage.HASHED)
    assert keeper.keep("203.0.113.77") == keeper.keep("[::ffff:203.0.113.77]:80") != keeper.keep("203.0.113.78")
    assert len(keeper.keep("203.0.113.77").text) == 16
    assert keeper.keep("203.0.113.77") != keeper_of(IpStorage.HASHED, b"x" * 32).keep("203.0.113.77")
    assert keeper.keep("garbage") == NO_ADDRESS


def test_no_addresses() -> None:
    """With `none` nothing is stored."""
    assert ask(make_link(), answerer=make_answerer(ip_storage=IpStorage.NONE)).click.ip is None


def test_forwarded_address_is_recorded() -> None:
    """Behind one proxy the click has the address that the proxy saw."""
    forwarded = (b"x-forwarded-for", b"6.6.6.6, 198.51.100.7")
    assert ask(make_link(), forwarded, answerer=make_answerer(trusted_proxies=1)).click.ip == "198.51.100.0"
    assert ask(make_link(), forwarded, peer=None).click.ip is None


def test_address_cache_is_bounded() -> None:
    """Any number of addresses leaves a bounded cache."""
    keeper = keeper_of(IpStorage.TRUNCATED)
    for number in range(40_000):
        keeper.keep(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(keeper._cache) <= 2 * 8192


def test_bounded_cache_keeps_what_is_used() -> None:
    """What is asked for in each generation stays, what is not is forgotten."""
    cache: BoundedCache[int, str] = BoundedCache(10)
    cache.put(-1, "used")
    for number in range(100):
        cache.put(number, "new")
        assert cache.get(-1) == "used"
    assert cache.get(0) is None
    assert len(cache) <= 20


def test_bounded_cache_replaces() -> None:
    """A key that is put again has one value, and pushes nothing out."""
    cache: BoundedCache[str, int] = BoundedCache(2)
    for value in range(10):
        cache.put("a", value)
        cache.put("b", value)
    assert sorted(cache.values()) == [9, 9]


def test_random_pool_draws_rarely_and_never_twice() -> None:
    """Bytes are drawn 4 KiB at a time, and no piece is handed out again."""
    draws: list[int] = []

    def source(size: int) -> bytes:
        draws.append(size)
        return b"".join((len(draws) << 32 | index).to_bytes(8, "big") for index in range(size // 8))

    pool = RandomPool(source)
    pieces = [pool.take(size) for _ in range(400) for size in (8, 16)]
    words = [piece[at : at + 8] for piece in pieces for at in range(0, len(piece), 8)]
    assert len(set(words)) == len(words) == 1200
    assert draws == [4096] * 3


def test_new_visitors_are_url_safe() -> None:
    """A visitor is 22 characters of base64url."""
    assert new_visitor(RandomPool(lambda size: b"\xff" * size)) == b"_" * 21 + b"w"


def test_user_agent_absent_or_twice() -> None:
    """The first User-Agent counts, and none at all is a human of unknown class."""
    assert tap_with().said.agent.agent_class is AgentClass.UNKNOWN
    assert (
        tap_with((b"user-agent", BOT), (b"user-agent", BROWSER)).said.agent.agent_class is AgentClass.SOCIAL_PREVIEW
    )
