from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.redirecting import BOT, VISITOR, ask, make_link

from attribution.domain.links import DESTINATION_MAX_BYTES, ForwardQuery, destination_error

COOKIE = (b"cookie", b"attribution_visitor=" + VISITOR)


def sent_to(destination: str, query: bytes = b"", **fields: object) -> str:
    """The Location, with `T` for the token."""
    tap = ask(make_link(destination, **fields), query=query)
    return tap.location.replace(tap.token, b"T").decode()


@pytest.mark.parametrize(
    ("destination", "location"),
    [
        ("https://s.example", "https://s.example?click_id=T"),
        ("https://s.example/p", "https://s.example/p?click_id=T"),
        ("https://s.example/?", "https://s.example/?click_id=T"),
        ("https://s.example/?a=1", "https://s.example/?a=1&click_id=T"),
        ("https://s.example/?a=1&", "https://s.example/?a=1&click_id=T"),
        ("https://s.example/?a=1&&a=2&a", "https://s.example/?a=1&&a=2&a&click_id=T"),
        ("https://s.example/?a=1;b=2", "https://s.example/?a=1;b=2&click_id=T"),
        ("https://s.example/p#top", "https://s.example/p?click_id=T#top"),
        ("https://s.example/?a=1#x?y&z", "https://s.example/?a=1&click_id=T#x?y&z"),
        ("https://s.example/#", "https://s.example/?click_id=T#"),
        ("https://s.example/a b/%7e?q=a+b|{}", "https://s.example/a b/%7e?q=a+b|{}&click_id=T"),
        ("HTTPS://u:p@S.example:444/ü?ü=é#ß", "HTTPS://u:p@S.example:444/ü?ü=é&click_id=T#ß"),
    ],
)
def test_the_destination_is_kept_byte_for_byte(destination: str, location: str) -> None:
    """The click id comes after the stored query and before the fragment; all else is as stored."""
    assert sent_to(destination) == location


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ("click_id=old", "?click_id=T"),
        ("click_id=old&a=1", "?a=1&click_id=T"),
        ("a=1&click_id", "?a=1&click_id=T"),
        ("a=1&CLICK_ID=x&%63lick_id=y&b=%20", "?a=1&b=%20&click_id=T"),
    ],
)
def test_the_destinations_own_reserved_parameter_is_replaced(query: str, location: str) -> None:
    """A reserved parameter that the destination carries gives way to ours."""
    assert sent_to(f"https://s.example/?{query}") == f"https://s.example/{location}"


@pytest.mark.parametrize(
    ("query", "forwarded"),
    [
        (b"utm_source=ig&b=2", "utm_source=ig&b=2&"),
        (b"b=1&b=2&c", "b=1&b=2&c&"),
        (b"&&b=1&&", "b=1&"),
        (b"b=%C3%BC+%2f", "b=%C3%BC+%2f&"),
        (b"b=\xc3\xbc \x00\r\n\x7f", "b=%C3%BC%20%00%0D%0A%7F&"),
        (b"b=1#frag", "b=1%23frag&"),
        (b"=x", "=x&"),
        (b"x", "x&"),
        (b"b;c=1", "b;c=1&"),
    ],
)
def test_the_visitors_parameters_are_forwarded(query: bytes, forwarded: str) -> None:
    """What the visitor sent is appended in its order, as sent, made safe for a header."""
    assert sent_to("https://s.example/?a=1", query) == f"https://s.example/?a=1&{forwarded}click_id=T"


@pytest.mark.parametrize("query", [b"a=2", b"%61=2", b"a", b"x%20y=1", b"x+y=2", b"a=1&a=2", b"%C3%BC=1"])
def test_the_destination_names_it_already(query: bytes) -> None:
    """A name that the destination has is not forwarded, however it is written."""
    assert sent_to("https://s.example/?a=1&x+y=1&ü=2", query) == "https://s.example/?a=1&x+y=1&ü=2&click_id=T"


def test_an_empty_destination_query_names_nothing() -> None:
    """Where the destination has no parameter, even one without a name is forwarded."""
    assert sent_to("https://s.example/", b"=x") == "https://s.example/?=x&click_id=T"


def test_names_differ_by_case() -> None:
    """`A` is not `a`: the shop may read both."""
    assert sent_to("https://s.example/?a=1", b"A=2") == "https://s.example/?a=1&A=2&click_id=T"


def test_forwarding_can_be_off() -> None:
    """With `forward_query: none` nothing of the visitor's is forwarded, for taps and looks."""
    link = make_link("https://s.example/?a=1", forward_query=ForwardQuery.NONE)
    tap = ask(link, query=b"b=2&sub1=x")
    assert tap.location == b"https://s.example/?a=1&click_id=" + tap.token
    assert tap.click.subs[0] == "x"
    assert ask(link, method="HEAD", query=b"b=2").location == b"https://s.example/?a=1"


@pytest.mark.parametrize(
    "name",
    [
        b"click_id", b"CLICK_ID", b"Click_Id", b"%63lick_id", b"%63%6C%69%63%6B%5F%69%64", b"+click_id",
        b"click_id+", b"%20click_id%20", b"%2563lick_id", b"%252563lick_id", b"click_id%00",
        b"%09click_id%0a", b"click_id[]",
        b"click_id%5B0%5D", b"click.id", b"click%20id", b"click id", b"x=1;click_id", b"x;%43LICK_ID",
        b"\xe2\x80\x83click_id", b"clic\xe2\x84\xaa_id",
    ],
)  # fmt: skip
def test_a_visitor_cannot_name_a_reserved_parameter(name: bytes) -> None:
    """In any case, encoding, padding or array form, a visitor's click id is left out."""
    assert sent_to("https://s.example/", b"b=1&" + name + b"=evil&c=2") == "https://s.example/?b=1&c=2&click_id=T"


def test_the_programmes_own_parameter_name() -> None:
    """Another name per programme takes the place of `click_id`, which is then a parameter like others."""
    location = sent_to("https://s.example/?irclickid=1", b"IRCLICKID=2&click_id=3", click_id_param="irclickid")
    assert location == "https://s.example/?click_id=3&irclickid=T"


def test_the_visitor_parameter_comes_last() -> None:
    """A programme with `visitor_id_param` gets the visitor's id after the click id."""
    link = make_link("https://s.example/?vid=own&a=1#f", visitor_id_param="vid")
    tap = ask(link, COOKIE, query=b"b=2&VID=evil")
    assert tap.location == b"https://s.example/?a=1&b=2&click_id=" + tap.token + b"&vid=" + VISITOR + b"#f"


def test_a_new_visitor_is_forwarded_too() -> None:
    """The id that is set is the id that is forwarded."""
    tap = ask(make_link(visitor_id_param="vid"))
    assert tap.location.endswith(b"&vid=" + (tap.click.visitor_id or "").encode())


def test_no_visitor_no_parameter() -> None:
    """Under Sec-GPC and for bots there is no visitor to forward, and none can be supplied."""
    link = make_link(visitor_id_param="vid")
    for tap in (ask(link, (b"sec-gpc", b"1"), query=b"vid=evil"), ask(link, agent=BOT, query=b"vid=evil")):
        assert b"vid=" not in tap.location


def test_forwarding_stops_at_8_kb() -> None:
    """Forwarding stops at the first parameter that would push the Location over 8,192 bytes."""
    parameters = b"&".join(b"p%04d=%s" % (n, b"v" * 93) for n in range(200))
    tap = ask(make_link("https://s.example/#end"), query=parameters + b"&z=1")
    assert 8192 - 101 - 2 * 80 < len(tap.location) <= 8192
    assert tap.location.endswith(b"&click_id=" + tap.token + b"#end")
    assert b"z=1" not in tap.location


def test_encoding_counts_for_the_8_kb() -> None:
    """Bytes that grow by percent-encoding count as they are sent."""
    assert len(ask(make_link(), query=b"a=" + b"\xff" * 2700).location) < 100
    assert len(ask(make_link(), query=b"a=" + b"\xff" * 2600).location) > 7800


def test_the_longest_destination_fits() -> None:
    """A destination of the most bytes leaves room for the reserved parameters at their longest."""
    destination = "https://s.example/" + "\N{ROCKET}" * ((DESTINATION_MAX_BYTES - 18) // 4)
    assert destination_error(destination) is None
    cookie = (b"cookie", b"attribution_visitor=" + b"v" * 64)
    tap = ask(
        make_link(destination, click_id_param="c" * 64, visitor_id_param="v" * 64),
        cookie,
        query=b"a=" + b"1" * 9000,
    )
    assert len(tap.location) <= 8192
    assert tap.location.startswith(destination.encode())


def test_an_independent_parser_reads_it() -> None:
    """The click id is read back by another parser, once."""
    tap = ask(make_link("https://s.example/?a=1#f"), query=b"b=2&click_id=evil")
    parts = urlsplit(tap.location.decode())
    assert parse_qsl(parts.query) == [("a", "1"), ("b", "2"), ("click_id", tap.token.decode())]
    assert parts.fragment == "f"


@pytest.mark.parametrize(
    ("query", "subs"),
    [
        (b"", (None,) * 5),
        (b"sub1=a&sub2=b&sub3=c&sub4=d&sub5=e&sub6=f&sub0=g", ("a", "b", "c", "d", "e")),
        (b"sub1=a+b%20c&%73ub2=%C3%BC", ("a b c", "ü", None, None, None)),
        (b"sub1=first&sub1=second", ("first", None, None, None, None)),
        (b"sub1=%00a%00&sub2=%00", ("a", None, None, None, None)),
        (b"sub1=%ff&sub2=\xff", ("\ufffd", "\ufffd", None, None, None)),
        (b"sub1=" + b"x" * 128 + b"&sub2=" + b"x" * 129, ("x" * 128, None, None, None, None)),
        (b"sub1=" + b"%C3%BC" * 128, ("ü" * 128, None, None, None, None)),
        (b"sub1=" + b"x" * 129 + b"&sub1=y", (None,) * 5),
        (b"sub1&sub2=&SUB3=x", (None,) * 5),
        (b"sub1=a=b", ("a=b", None, None, None, None)),
    ],
)
def test_subs_are_recorded(query: bytes, subs: tuple[str | None, ...]) -> None:
    """sub1 to sub5 are recorded: decoded, the first of a name, at most 128 characters, else nothing."""
    assert ask(make_link(), query=query).click.subs == subs


def test_deep_encoding_is_cheap() -> None:
    """A name that is encoded thousands of times over costs no more than its length."""
    assert ask(make_link(), query=b"%" + b"25" * 30_000 + b"63lick_id=x").status == 302


@pytest.mark.parametrize(
    "url",
    [
        "", "shop.example", "//shop.example/", "ftp://s.example/", "javascript:alert(1)", "https://", "https:///p",
        "https://s.example:99999/", "https://a b/", "https://s.example/\n", "https://s.example/\x7f", "https://[::1/",
        " https://s.example/", "https://s.example/ ", "https://s.example/\ud800", "https://good.example\\@evil.example/",
        "https://s.example/" + "a" * 2048, "https://s.example/" + "\N{ROCKET}" * 1900,
    ],
)  # fmt: skip
def test_what_is_no_destination(url: str) -> None:
    """Only absolute http and https URLs with a host, which can be sent as they are, are stored."""
    assert destination_error(url) is not None


@pytest.mark.parametrize(
    "url", ["http://s.example", "HTTPS://S.example/ü?a=b c#d", "https://[::1]:8443/", "https://1.2.3.4"]
)
def test_what_is_a_destination(url: str) -> None:
    """Unusual but sound URLs are stored."""
    assert destination_error(url) is None


def test_instants_have_zones_of_any_kind() -> None:
    """Starts and ends are compared as instants."""
    assert (
        ask(make_link(starts_at=datetime(1970, 1, 1, tzinfo=UTC), expires_at=datetime.max.replace(tzinfo=UTC))).status
        == 302
    )
