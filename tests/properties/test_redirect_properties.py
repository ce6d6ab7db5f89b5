from urllib.parse import parse_qsl, unquote_plus, urlsplit

from hypothesis import assume, example, given
from hypothesis import strategies as st
from tests.redirecting import BOT, BROWSER, VISITOR, ask, is_ours, make_link

from attribution.domain.links import ForwardQuery, Link, destination_error
from attribution.redirect.decision import Outcome

HEADER_NAMES = st.sampled_from(
    [
        b"user-agent", b"cookie", b"referer", b"host", b"sec-gpc", b"x-forwarded-for", b"sec-purpose",
        b"purpose", b"x-purpose", b"x-moz", b"accept",
    ]
)  # fmt: skip
COOKIES = st.binary(max_size=80).map(lambda value: b"attribution_visitor=" + value)
HEADERS = st.lists(st.tuples(HEADER_NAMES, st.binary(max_size=200) | COOKIES), max_size=12)

RESERVED_NAMES = st.sampled_from(
    [
        "click_id",
        "CLICK_ID",
        "%63lick_id",
        "+click_id",
        "click_id%20",
        "%2563lick_id",
        "vid",
        "%56ID",
        "x;vid",
        "click.id",
    ]
)
NAMES = RESERVED_NAMES | st.text("ab%3D;+.[]_", min_size=1, max_size=5)
PARAMETERS = st.tuples(NAMES, st.text("xyz1%20;=+", max_size=8)).map("=".join) | st.sampled_from(["", "a", ";", "="])
QUERIES = st.lists(PARAMETERS, max_size=8).map("&".join)
DESTINATIONS = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["https", "http", "HTTPS"]),
    st.sampled_from(["shop.example", "u:p@shop.example:444", "[2001:db8::1]", "bücher.example"]),
    st.sampled_from(["", "/", "/a/b;c", "/p a", "/ü"]),
    QUERIES.map("?{}".format) | st.just(""),
    st.sampled_from(["", "#", "#top", "#a?b=1&click_id=in-fragment"]),
)
LINKS = st.builds(
    make_link,
    DESTINATIONS,
    visitor_id_param=st.none() | st.just("vid"),
    forward_query=st.sampled_from(ForwardQuery),
)


def names(query: str) -> list[str]:
    return [name for name, _ in parse_qsl(query, keep_blank_values=True)]


@given(
    method=st.sampled_from(["GET", "HEAD"]) | st.text(max_size=9),
    path=st.binary(max_size=90) | st.just(b"/anna"),
    query=st.binary(max_size=400),
    headers=HEADERS,
    peer=st.none() | st.text(max_size=50),
    link=st.none() | LINKS,
)
def test_any_bytes_get_an_answer_of_the_table(
    method: str,
    path: bytes,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    peer: str | None,
    link: Link | None,
) -> None:
    """Any bytes in path, query, cookie and headers get an answer of the table that can be sent."""
    tap = ask(link, *headers, method=method, path=path, query=query, agent=None, peer=peer, host=b"")
    assert tap.answer.outcome in Outcome
    assert tap.status in {302, 404, 405, 410, 503}
    assert not any(byte < 0x20 or byte == 0x7F for value in tap.headers.values() for byte in value)
    assert (tap.answer.record is not None) == (tap.answer.outcome in (Outcome.LIVE, Outcome.BOT))
    if tap.answer.record is not None:
        assert tap.token in tap.location
        assert all(len(sub or "") <= 128 for sub in tap.click.subs)


@given(
    query=st.binary(max_size=400) | QUERIES.map(str.encode),
    link=LINKS,
    agent=st.sampled_from([BROWSER, BOT]),
    cookies=st.sampled_from([(), ((b"cookie", b"attribution_visitor=" + VISITOR),)]),
)
@example(query=b"#&click_id=evil", link=make_link(), agent=BROWSER, cookies=())
def test_a_visitor_chooses_neither_place_nor_click_id(
    query: bytes, link: Link, agent: bytes, cookies: tuple[tuple[bytes, bytes], ...]
) -> None:
    """Scheme, host, path and fragment are the destination's, and another parser finds one click id: ours."""
    tap = ask(link, *cookies, query=query, agent=agent)
    stored, sent = urlsplit(link.destination), urlsplit(tap.location.decode())
    assert (sent.scheme, sent.netloc, sent.path, sent.fragment) == (
        stored.scheme, stored.netloc, stored.path, stored.fragment,
    )  # fmt: skip
    values = [value for name, value in parse_qsl(sent.query) if name.strip().lower() == "click_id"]
    assert values == [tap.token.decode()]
    assert is_ours(values[0], tap.click)
    last = ["click_id", "vid"] if link.visitor_id_param and tap.click.visitor_id else ["click_id"]
    assert names(sent.query)[-len(last) :] == last


@given(query=QUERIES, link=LINKS)
def test_what_the_destination_says_is_kept_in_order(query: str, link: Link) -> None:
    """The destination's parameters but the reserved ones come first, byte for byte and in order."""
    tap = ask(link, query=query.encode())
    reserved = {"click_id", "vid"} if link.visitor_id_param else {"click_id"}
    stored = link.destination.partition("#")[0].partition("?")[2].split("&")
    kept = [p for p in stored if p and lenient(p) not in reserved]
    sent = [p for p in tap.location.decode().partition("#")[0].partition("?")[2].split("&") if p]
    assert sent[: len(kept)] == kept
    forwarded = sent[len(kept) : -len(reserved)]
    assert link.forward_query is ForwardQuery.APPEND or not forwarded
    assert is_subsequence(forwarded, query.split("&"))


def lenient(parameter: str) -> str:
    name = parameter.partition("=")[0]
    for _ in range(4):
        name = unquote_plus(name)
    return name.partition("[")[0].strip().lower().replace(".", "_").replace(" ", "_")


def is_subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)


@given(
    base=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=2100),
    query=st.lists(st.binary(max_size=3000), max_size=6).map(b"&".join),
    names=st.tuples(st.text("abc_", min_size=1, max_size=64), st.none() | st.text("xyz_", min_size=1, max_size=64)),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_a_location_never_passes_8_kb(base: str, query: bytes, names: tuple[str, str | None], method: str) -> None:
    """Whatever is stored and sent, a Location has 8,192 bytes at most."""
    destination = "https://shop.example/" + base
    assume(destination_error(destination) is None)
    cookie = (b"cookie", b"attribution_visitor=" + b"v" * 64)
    link = make_link(destination, click_id_param=names[0], visitor_id_param=names[1])
    assert len(ask(link, cookie, query=query, method=method).location) <= 8192
