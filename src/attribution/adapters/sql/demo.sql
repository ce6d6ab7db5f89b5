-- name: seed
-- Once: with the programme there, nothing is made. Slugs that are taken by others are left to them.
WITH program AS (
    INSERT INTO programs (key, name, currency, timezone, click_id_param, gross_margin)
    VALUES ('demo', 'Demo programme', 'EUR', 'Europe/Berlin', 'click_id', 0.6)
    ON CONFLICT DO NOTHING
    RETURNING program_id
), people AS (
    INSERT INTO influencers (program_id, external_id, name, status)
    SELECT program_id, external_id, name, 'active'
    FROM program, (VALUES ('anna', 'Anna'), ('ben', 'Ben'), ('chris', 'Chris')) AS person (external_id, name)
    RETURNING program_id, influencer_id, external_id
), campaign AS (
    INSERT INTO campaigns (program_id, external_id, name, status, starts_at)
    SELECT program_id, 'spring', 'Spring launch', 'active', date_trunc('day', now()) FROM program
    RETURNING program_id, campaign_id
), made AS (
    INSERT INTO links (
        program_id, external_id, slug, destination, influencer_id, campaign_id, channel, forward_query, status
    )
    SELECT people.program_id, link.slug, link.slug, 'https://shop.example.com/' || link.path, influencer_id,
           CASE WHEN link.in_campaign THEN campaign_id END, link.channel, 'append', 'active'
    FROM people
    JOIN campaign USING (program_id)
    JOIN (VALUES
        ('anna', 'anna-ig', 'spring', 'instagram', true),
        ('anna', 'anna-tt', 'spring', 'tiktok', true),
        ('ben', 'ben-yt', 'shoes?size=42', 'youtube', true),
        ('chris', 'chris-blog', '#new', 'blog', false)
    ) AS link (person, slug, path, channel, in_campaign) ON link.person = people.external_id
    ON CONFLICT DO NOTHING
)
INSERT INTO codes (program_id, external_id, code, code_key, influencer_id, policy, status)
SELECT program_id, 'anna15', 'ANNA15', 'anna15', influencer_id, 'always', 'active'
FROM people WHERE external_id = 'anna';

-- name: slug
SELECT l.slug FROM links l JOIN programs p USING (program_id) WHERE p.key = 'demo' ORDER BY l.link_id LIMIT 1;
