"""What the service recorded of a programme's conversions, in the reference's words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attribution.adapters.postgres import Database
from attribution.domain.attribution import Credit

from .reference import WHOLE, Judged, Part, Target

if TYPE_CHECKING:
    from attribution.adapters.postgres import Connection

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Recorded:
    status: str
    reason: str | None
    model: str
    rule_id: int | None
    credits: dict[Target, Part]


def expected(judged: Judged) -> Recorded:
    """A target whose part is nothing at all leaves no trace: weights never are."""
    return Recorded(judged.status, judged.reason, judged.rule.model, judged.rule.rule_id, judged.credits)


def target_of(credit: Credit) -> Target:
    return Target(
        credit.via, credit.influencer_id, credit.campaign_id, credit.channel and credit.channel.value,
        credit.post_id, credit.link_id, credit.click_id, credit.code,
    )  # fmt: skip


def part_of(credit: Credit) -> Part:
    return Part(credit.weight_units, credit.gross_minor, credit.net_minor, credit.discount_minor)


async def recorded(database: Database, program: int) -> dict[Key, Recorded]:
    async with database.connection() as connection:
        credits_ = await _credits(connection, program)
        rows = await connection.fetch(
            "SELECT source, type, external_id, conversion_id, a.status, reason, model, rule_id"
            " FROM conversions LEFT JOIN attributions a USING (program_id, conversion_id) WHERE program_id = $1",
            program,
        )
    return {
        (r["source"], r["type"], r["external_id"]): Recorded(
            r["status"], r["reason"], r["model"], r["rule_id"], credits_.get(r["conversion_id"], {})
        )
        for r in rows
    }


async def _credits(connection: "Connection", program: int) -> dict[int, dict[Target, Part]]:
    rows = await connection.fetch(
        "SELECT conversion_id, via, influencer_id, campaign_id, channel, post_id, link_id, click_id, code,"
        " sum(weight) AS weight, sum(gross_minor)::bigint AS gross, sum(net_minor)::bigint AS net,"
        " sum(discount_minor)::bigint AS discount"
        " FROM credit_entries WHERE program_id = $1 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
        program,
    )
    credits_: dict[int, dict[Target, Part]] = {}
    for r in rows:
        part = Part(int(r["weight"] * WHOLE), r["gross"], r["net"], r["discount"])
        if part != Part(0, 0, 0, 0):
            target = Target(
                r["via"], r["influencer_id"], r["campaign_id"], r["channel"], r["post_id"], r["link_id"],
                r["click_id"].bytes if r["click_id"] else None, r["code"],
            )  # fmt: skip
            credits_.setdefault(r["conversion_id"], {})[target] = part
    return credits_
