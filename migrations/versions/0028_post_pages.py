"""Posts are found by the page of their addresses, as Share buttons and platforms' files spell one in many ways."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_POST_PAGE = r"""
CREATE FUNCTION post_page(address text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT CASE
        WHEN site = 'youtu.be' THEN 'youtube.com/watch?v=' || nullif(split_part(path, '/', 2), '')
        WHEN site = 'youtube.com' AND path = '/watch'
            THEN 'youtube.com/watch?v=' || substring(query FROM '&v=([^&]+)')
        WHEN site = 'youtube.com' AND path ~ '^/(shorts|live|embed)/'
            THEN 'youtube.com/watch?v=' || nullif(split_part(path, '/', 3), '')
        WHEN site = 'instagram.com' AND path ~ '^(/[^/]+)?/(p|reel|reels|tv)/[^/]+$'
            THEN 'instagram.com/p/' || substring(path FROM '[^/]+$')
        WHEN site = 'facebook.com' THEN concat_ws(
            '&', site || path, substring(query FROM '&v=[^&]*'), substring(query FROM '&fbid=[^&]*'),
            substring(query FROM '&story_fbid=[^&]*'), substring(query FROM '&id=[^&]*')
        )
        WHEN site IN ('instagram.com', 'tiktok.com', 'x.com', 'twitter.com') THEN site || path
        ELSE site || path || rtrim(regexp_replace(query, '&(utm_[a-z]+|fbclid|gclid)=[^&]*', '', 'g'), '&')
    END
    FROM (
        SELECT regexp_replace(lower(split_part(place, '/', 1)), '^(www|m|mobile)\.', '') AS site,
               substr(place, length(split_part(place, '/', 1)) + 1) AS path,
               '&' || query AS query
        FROM (
            SELECT rtrim(split_part(bare, '?', 1), '/') AS place, regexp_replace(bare, '^[^?]*[?]?', '') AS query
            FROM (SELECT regexp_replace(split_part(address, '#', 1), '^https?://', '', 'i') AS bare) a
        ) b
    ) c
)
"""
_COMMENT = """
COMMENT ON FUNCTION post_page IS
    'what all addresses of one post share; of an address that platforms do not spell in many ways nearly all of it'
"""


def upgrade() -> None:
    op.execute(_POST_PAGE)
    op.execute(_COMMENT)
    op.execute("CREATE INDEX posts_page ON posts (program_id, post_page(url))")


def downgrade() -> None:
    op.execute("DROP INDEX posts_page")
    op.execute("DROP FUNCTION post_page")
