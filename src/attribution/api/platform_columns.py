"""What platforms call their figures in the files that they let people download.

Instagram and Facebook: Meta Business Suite, Insights, Content, Export ("Post ID", "Permalink", "Publish time", ...,
with "Lifetime" as "Date"). YouTube: Studio, Analytics, Advanced mode, Export, of which "Table data.csv" has one row
a video with its id as "Content", and a first row "Total". TikTok: Studio, Analytics, Content. Names are compared
without regard to case and runs of spaces; of several columns for one figure the first here that is filled counts.
"""

from collections.abc import Mapping

INSIGHT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "at": ("at",),
    "post_id": ("post_id",),
    "post": ("post", "post id", "video asset id", "content", "video id"),
    "url": ("url", "permalink", "video link"),
    "impressions": ("impressions", "thumbnail impressions"),
    "reach": ("reach", "accounts reached", "unique viewers"),
    "views": ("views", "plays", "video views", "total views"),
    "likes": ("likes", "reactions", "total likes"),
    "comments": ("comments", "comments added", "total comments"),
    "shares": ("shares", "total shares"),
    "saves": ("saves", "saved", "add to favorites"),
    "link_taps": ("link_taps", "link clicks"),
    "followers": ("followers", "follows", "subscribers", "subscribers gained"),
}
"""Our name -> the columns it is read from."""

DATE_COLUMN = "date"
LIFETIME = "lifetime"
SUMS = frozenset({"total", "gesamt", "totals"})
"""In place of a post: the row is the sum of the others."""


def post_forms(reference: str) -> list[str]:
    """External ids and addresses under which a post may be known: with and without `www.` or a last slash.

    What else one page may be called, `post_page` of the database knows.
    """
    if "://" not in reference:
        return [reference, *_youtube(reference)]
    bare = reference.partition("://")[2].partition("?")[0].removeprefix("www.").rstrip("/")
    spelled = [f"https://{www}{bare}{slash}" for www in ("www.", "") for slash in ("/", "")]
    return list(dict.fromkeys([reference, *spelled]))


def _youtube(video_id: str) -> list[str]:
    hosts = ("https://www.youtube.com", "https://youtube.com")
    pages = [f"{host}/{page}{video_id}" for host in hosts for page in ("watch?v=", "shorts/")]
    return [*pages, f"https://youtu.be/{video_id}"]
