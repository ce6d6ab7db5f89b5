"""Objects and facts as CSV: by the API, and by `attribution import`."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.api import ADMIN_KEY, Api, assert_problem

from attribution.cli import main

AT = {"at": "2026-11-20"}
INSTAGRAM = """\ufeffPost ID,Account ID,Account username,Account name,Description,Duration (sec),Publish time,\
Permalink,Post type,Data comment,Date,Views,Reach,Likes,Shares,Follows,Comments,Saves
18011,1784,anna,Anna,"Winter
is coming",0,11/03/2026 06:08,https://www.instagram.com/p/DAbc123/,IG image,,Lifetime,"12,400",9100,610,88,41,57,230
18012,1784,anna,Anna,Other,0,11/03/2026 06:08,https://www.instagram.com/p/other/,IG image,,Lifetime,1,1,1,1,1,1,1
"""
FACEBOOK = """Post ID,Page ID,Page name,Title,Description,Publish time,Permalink,Post type,Views,Reach,\
"Reactions, Comments and Shares",Reactions,Comments,Shares,Total clicks,Link Clicks
122,9,Anna,T,D,11/03/2026 06:08,https://www.facebook.com/anna/posts/122,Photos,5000,4000,60,40,15,5,70,33
"""
YOUTUBE = """Content,Video title,Video publish time,Duration,Views,Watch time (hours),Subscribers,Impressions,\
Impressions click-through rate (%),Likes,Comments added,Shares
Total,,,,9000,100.5,-3,70000,4.2,300,20,10
abcDEF12345,"Winter, unboxed","Nov 3, 2026",612,8000,90.5,-3,60000,4.2,290,19,9
"""


async def take(api: Api, kind: str, content: str, *, bearer: str = ADMIN_KEY, **parameters: str) -> dict[str, Any]:
    headers = {"Content-Type": "text/csv"}
    response = await api.ask(
        "POST", f"/v1/imports/{kind}", bearer=bearer, headers=headers, content=content.encode(), params=parameters
    )
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def counts(accepted: int = 0, unchanged: int = 0, skipped: int = 0) -> dict[str, Any]:
    return {"accepted": accepted, "unchanged": unchanged, "skipped": skipped, "refused": []}


async def make_posts(api: Api, **urls: str | None) -> None:
    anna = await api.make("influencers", name="Anna", external_id="anna")
    for external_id, url in urls.items():
        await api.make("posts", influencer_id=anna["id"], channel="other", url=url, external_id=external_id)


async def totals(api: Api, post: str) -> dict[str, int]:
    async with api.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT metric, total FROM insight_steps JOIN posts USING (program_id, post_id) WHERE external_id = $1",
            post,
        )
    return {row["metric"]: row["total"] for row in rows}


async def test_instagrams_own_file_is_understood(api: Api) -> None:
    """Its posts are found by address, with or without a last slash; another account's are refused by row."""
    await make_posts(api, winter="https://instagram.com/p/DAbc123")
    result = await take(api, "insights", INSTAGRAM, **AT)
    assert result["accepted"] == 1
    assert [row["row"] for row in result["refused"]] == [3]
    assert {tuple(error["loc"]) for error in result["refused"][0]["errors"]} == {
        ("body", 3, "post"),
        ("body", 3, "url"),
    }
    assert await totals(api, "winter") == {
        "views": 12400, "reach": 9100, "likes": 610, "shares": 88, "followers": 41, "comments": 57, "saves": 230,
    }  # fmt: skip


async def test_facebooks_own_file_is_understood(api: Api) -> None:
    await make_posts(api, **{"122": None})
    assert await take(api, "insights", FACEBOOK.replace(",", ";"), **AT) == counts(accepted=1) | {"refused": []}
    assert await totals(api, "122") == {
        "views": 5000, "reach": 4000, "likes": 40, "comments": 15, "shares": 5, "link_taps": 33,
    }  # fmt: skip


@pytest.mark.parametrize("called", ["Impressions", "Thumbnail impressions"])
async def test_youtubes_own_file_is_understood(api: Api, called: str) -> None:
    """Its row of sums is skipped, and a video is found by its id in an address."""
    await make_posts(api, video="https://youtu.be/abcDEF12345")
    assert await take(api, "insights", YOUTUBE.replace("Impressions", called), **AT) == counts(accepted=1, skipped=1)
    assert await totals(api, "video") == {
        "views": 8000, "impressions": 60000, "likes": 290, "comments": 19, "shares": 9, "followers": -3,
    }  # fmt: skip


SPELLED = (
    ("https://www.instagram.com/reel/QQQ/?igsh=abc", "https://www.instagram.com/reel/QQQ/"),
    ("https://www.instagram.com/anna/reel/SSS/", "https://www.instagram.com/reel/SSS/"),
    ("https://www.instagram.com/anna/p/TTT?img_index=2", "http://instagram.com/p/TTT"),
    ("https://youtu.be/vid1?si=xyz", "vid1"),
    ("https://www.youtube.com/watch?v=vid2&t=3s", "vid2"),
    ("https://m.youtube.com/watch?v=vid3", "vid3"),
    ("https://www.youtube.com/watch?app=desktop&v=vid4", "https://youtu.be/vid4"),
    ("https://YouTube.com/shorts/vid5?feature=share", "vid5"),
    ("http://www.facebook.com/reel/124", "https://www.facebook.com/reel/124/"),
    ("https://m.facebook.com/watch/?v=77&mibextid=x", "https://www.facebook.com/watch?v=77"),
    ("https://www.facebook.com/story.php?id=2&story_fbid=1", "https://facebook.com/story.php?story_fbid=1&id=2#x"),
    ("https://www.tiktok.com/@anna/video/7?is_from_webapp=1", "https://www.tiktok.com/@anna/video/7?_t=8"),
    ("https://blog.example/?p=3&utm_source=ig&fbclid=5", "https://blog.example?p=3"),
)
OTHERS = (
    "https://www.instagram.com/reel/qqq/", "https://www.instagram.com/anna/", "VID1", "https://youtu.be/",
    "https://www.youtube.com/watch?list=vid2", "https://www.facebook.com/watch?v=78", "https://blog.example/?p=4",
    "https://www.facebook.com/story.php?story_fbid=2&id=2", "https://blog.example/p=3", "youtube.com/watch?v=vid2",
)  # fmt: skip


async def test_a_post_is_found_however_a_share_button_spelled_its_address(api: Api) -> None:
    """Another post's address is none of its own, though only a parameter or a letter's case differs."""
    await make_posts(api, **{str(number): stored for number, (stored, _) in enumerate(SPELLED)})
    rows = [f"{named},{number}" for number, (_, named) in enumerate(SPELLED)]
    assert await take(api, "insights", "\n".join(["post,views", *rows]), **AT) == counts(accepted=len(SPELLED))
    for number in range(len(SPELLED)):
        assert await totals(api, str(number)) == {"views": number}
    refused = (await take(api, "insights", "\n".join(["post,views", *(f"{other},1" for other in OTHERS)]), **AT))[
        "refused"
    ]
    assert [row["row"] for row in refused] == [number + 2 for number in range(len(OTHERS))]


async def test_an_address_of_several_posts_is_refused_unless_one_is_stored_so(api: Api) -> None:
    """The very address wins; an error names the posts, and `post_id` or an external id says which."""
    addresses = ("https://www.instagram.com/reel/A/?igsh=1", "https://www.instagram.com/anna/reel/A/")
    await make_posts(api, **dict(zip("ab", addresses, strict=True)))
    ids = [post["id"] for post in (await api.ask("GET", "/v1/posts")).json()["data"]]
    for kind, row in (
        ("insights", "post,at,views\n{},2026-11-20,1\n"),
        ("costs", "post,kind,amount,currency,date\n{},fee,5,USD,2026-11-20\n"),
    ):
        result = await take(api, kind, row.format("https://www.instagram.com/reel/A/"))
        [[error]] = [row["errors"] for row in result["refused"]]
        assert error["msg"] == f"is the address of the posts {', '.join(ids)}: say which by its `post_id`"
        assert await take(api, kind, row.format(addresses[1])) == counts(accepted=1)
    both = f"post_id,Permalink,at,views\n{ids[0]},https://www.instagram.com/reel/A/,2026-11-21,9\n"
    assert await take(api, "insights", both) == counts(accepted=1)
    assert (await totals(api, "a"), await totals(api, "b")) == ({"views": 9}, {"views": 1})


async def test_figures_by_the_day_are_no_totals(api: Api) -> None:
    await make_posts(api, a=None)
    result = await take(api, "insights", "Post ID,Date,Views\na,2026-11-20,5\na,Lifetime,7\n", **AT)
    assert (result["accepted"], result["refused"][0]["errors"][0]["loc"]) == (1, ["body", 2, "date"])


async def test_a_repeated_file_changes_nothing(api: Api) -> None:
    await make_posts(api, winter="https://www.instagram.com/p/DAbc123/", other="https://www.instagram.com/p/other/")
    assert await take(api, "insights", INSTAGRAM, **AT) == counts(accepted=2)
    assert await take(api, "insights", INSTAGRAM, **AT) == counts(unchanged=2)
    assert await api.rows("insights") == 2


async def test_a_programme_is_set_up_by_files(api: Api) -> None:
    """Each names the objects of the ones before by the ids that their owner gave them; a repeat changes nothing."""
    files = {
        "influencers": "external_id,name,email\nanna,Anna,anna@example.com\nben,Ben,\n",
        "campaigns": 'external_id,name,budget,goal,starts_at\nw,Winter,"1,000.50",sales,2026-11-01\n',
        "posts": "external_id,influencer,campaign,channel,url\np1,anna,w,instagram,https://www.instagram.com/p/x/\n",
        "links": "destination;influencer;campaign;post;slug\nhttps://shop.example/a;anna;w;p1;anna-w\nhttps://shop.example/b;ben;;;\n",
        "codes": "code,influencer,starts_at\nANNA15,anna,2026-11-01\n",
        "costs": 'kind,amount,currency,date,from,to,post,influencer\nfee,"300,00",EUR,,2026-11-01,2026-12-01,p1,\n'
        "product,20,EUR,20.11.2026,,,,ben\nproduct,20,EUR,20.11.2026,,,,ben\n",
        "commission-plans": "effective_from,percent,flat,currency,influencer,new_customer\n2026-01-01,7.5%,,,,\n"
        "2026-01-01,,5.00,EUR,anna,yes\n",
        "fx-rates": 'date,base,quote,rate\n2026-11-20,USD,EUR,"0,9221"\n',
        "insights": 'post,at,views,followers\np1,2026-11-20,"1,000",5\n',
    }  # fmt: skip
    sizes = {"influencers": 2, "links": 2, "costs": 3, "commission-plans": 2}
    for kind, content in files.items():
        assert await take(api, kind, content) == counts(accepted=sizes.get(kind, 1)), kind
    for kind, content in files.items():
        assert await take(api, kind, content) == counts(unchanged=sizes.get(kind, 1)), kind
    [link, _] = (await api.ask("GET", "/v1/links")).json()["data"]
    [post] = (await api.ask("GET", "/v1/posts")).json()["data"]
    assert (link["post_id"], link["influencer_id"]) == (post["id"], post["influencer_id"])
    assert "anna-w" in api.published.slugs
    assert len(api.published.slugs) == 2
    assert await api.rows("costs") == 3, "two equal rows of one file are two gifts"


async def test_rates_that_no_currencies_have_are_refused_by_row(api: Api) -> None:
    rows = ["KWD,IRR,999999999999999", "KWD,IRR,4600000", "IRR,KWD,0.0000000000001", "CLF,UYW,1000000000"]
    result = await take(api, "fx-rates", "\n".join(["date,base,quote,rate", *(f"2026-11-20,{row}" for row in rows)]))
    assert result["accepted"] == 2
    assert [row["errors"][0]["loc"] for row in result["refused"]] == [["body", 2, "rate"], ["body", 4, "rate"]]


async def test_the_same_rows_in_another_locale_are_no_others(api: Api) -> None:
    """However amounts, days, percentages and influencers are written, and in whatever order the columns stand."""
    anna = await api.make("influencers", name="Anna", external_id="e1")
    spelled = {
        "costs": (
            "kind,amount,currency,date,influencer\nfee,39.80,EUR,2026-03-20,e1\nfee,1234.5,EUR,2026-03-20,e1\n",
            "kind;amount;currency;date;influencer\nfee;39,80;EUR;20.03.2026;e1\nfee;1.234,50;EUR;20.3.2026;e1\n",
            f"date,amount,status,kind,currency,influencer_id\n2026-03-20,39.8,active,fee,EUR,{anna['id']}\n",
        ),
        "commission-plans": tuple(
            f"effective_from;percent;new_customer\n{text}\n"
            for text in ("2026-01-01;7.5;yes", "2026-01-01;7,5;true", "01.01.2026;7.50%;1")
        ),
    }
    for kind, (first, *others) in spelled.items():
        size = first.count("\n") - 1
        assert await take(api, kind, first) == counts(accepted=size)
        for other in others:
            assert await take(api, kind, other) == counts(unchanged=other.count("\n") - 1), other
        assert len((await api.ask("GET", f"/v1/{kind}")).json()["data"]) == size


async def test_rows_stored_under_an_id_of_their_text_are_known_by_it(api: Api) -> None:
    """As ids were made before: two gifts of one file, of which the second came only later."""
    row = "kind,amount,currency,date\nproduct,20,EUR,20.11.2026\n"
    cells = [("amount", "20"), ("currency", "EUR"), ("date", "20.11.2026"), ("kind", "product")]
    digest = sha256(repr(("costs", cells)).encode()).hexdigest()[:24]
    gift = {"kind": "product", "amount": "20", "currency": "EUR", "date": "2026-11-20"}
    await api.make("costs", external_id=f"csv-{digest}-1", **gift)
    assert await take(api, "costs", row) == counts(unchanged=1)
    assert await take(api, "costs", row + row.splitlines()[1]) == counts(accepted=1, unchanged=1)
    assert await take(api, "costs", row + row.splitlines()[1]) == counts(unchanged=2)
    assert await api.rows("costs") == 2


async def test_each_row_is_accepted_or_refused_by_itself(api: Api) -> None:
    await api.make("influencers", name="Anna", external_id="anna")
    lines = ["A,anna,,", "B,nobody,,", "C,anna,never,", "D,anna,,11/20/2026", "A,anna,always,", "E,anna,if_winner,"]
    content = "\n".join(["code,influencer,policy,starts_at", *lines])
    result = await take(api, "codes", content)
    assert result["accepted"] == 2
    assert [(row["row"], row["errors"][0]["loc"][2:]) for row in result["refused"]] == [
        (3, ["influencer"]), (4, ["policy"]), (5, ["starts_at"]), (6, []),
    ]  # fmt: skip
    assert await api.rows("codes") == 2


async def test_a_known_external_id_with_other_content_is_refused(api: Api) -> None:
    await take(api, "influencers", "external_id,name\nanna,Anna\n")
    result = await take(api, "influencers", "external_id,name\nanna,Anne\n")
    assert result["refused"][0]["errors"][0]["loc"] == ["body", 2, "external_id"]


@pytest.mark.parametrize(
    ("kind", "content", "loc"),
    [
        ("influencers", "name,nmae\nA,B\n", ["body", 1, "nmae"]),
        ("campaigns", "name,windows\nA,B\n", ["body", 1, "windows"]),
        ("insights", "Views\n1\n", ["body", 1]),
        ("insights", "Post ID\n1\n", ["body", 1]),
        ("insights", "Post ID,Views\n1,2\n", ["query", "at"]),
        ("costs", "", ["body"]),
    ],
)
async def test_a_header_that_says_too_little_is_refused(api: Api, kind: str, content: str, loc: list[Any]) -> None:
    headers = {"Content-Type": "text/csv; charset=utf-8"}
    response = await api.ask("POST", f"/v1/imports/{kind}", headers=headers, content=content.encode())
    assert_problem(response, 422, *loc)


async def test_only_csv_of_known_kinds_is_taken(api: Api) -> None:
    assert_problem(await api.ask("POST", "/v1/imports/influencers", {"name": "A"}), 415)
    csv: dict[str, Any] = {"headers": {"Content-Type": "text/csv"}, "content": b"a\n1\n"}
    assert_problem(await api.ask("POST", "/v1/imports/orders", **csv), 422, "path", "kind")
    assert_problem(await api.ask("POST", "/v1/imports/insights", params={"at": "soon"}, **csv), 422, "query", "at")
    large: dict[str, Any] = {"headers": {"Content-Type": "text/csv"}, "content": b"x" * (8 * 1024 * 1024 + 1)}
    assert_problem(await api.ask("POST", "/v1/imports/insights", params=AT, **large), 413)


async def test_a_file_reaches_only_its_own_programme(api: Api) -> None:
    other = await api.make("programs", key="other", name="Other", currency="EUR")
    await make_posts(api, a=None)
    result = await take(api, "insights", "post,views\na,1\n", bearer=other["api_key"], **AT)
    assert [row["row"] for row in result["refused"]] == [2]
    result = await take(api, "links", "destination,influencer\nhttps://shop.example,anna\n", bearer=other["api_key"])
    assert result["refused"][0]["errors"][0]["loc"] == ["body", 2, "influencer"]


def test_the_command_takes_a_file_and_tells_what_it_refused(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    file = tmp_path / "influencers.csv"
    names = "".join(f"i{number},Name {number}\n" for number in range(450))
    file.write_text(f"external_id,name\n{names}", "utf-8")
    assert main(["import", "influencers", str(file)]) == 0
    assert json.loads(capsys.readouterr().out) == {"accepted": 450, "unchanged": 0, "skipped": 0}
    file.write_text(f"external_id,name\n{names}i450,\n", "utf-8")
    assert main(["import", "influencers", str(file), "--program", "default"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"row": 452, "errors": [{"loc": ["body", 452, "name"], "msg": "is required"}]},
        {"accepted": 0, "unchanged": 450, "skipped": 0},
    ]
    assert main(["import", "influencers", str(file), "--program", "nobody"]) == 1
    assert main(["import", "influencers", str(tmp_path / "none.csv")]) == 1
