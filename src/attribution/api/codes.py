"""/v1/codes"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from attribution.domain.codes import CodePolicy, code_key
from attribution.domain.links import Status
from attribution.domain.programs import Program

from .fields import Id, Instant, Line, Reference
from .resources import UNSET, Changes, Disableable, New, Resource

Text = Annotated[Line, AfterValidator(str.strip)]
Policy = Annotated[CodePolicy, Field(strict=False)]


class CodeChanges(Changes):
    code: Text = UNSET
    influencer_id: Reference = UNSET
    campaign_id: Reference | None = None
    policy: Policy = UNSET
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    status: Status = UNSET


class NewCode(CodeChanges, New):
    periods: ClassVar[Mapping[str, str]] = {"starts_at": "ends_at"}

    code: Text
    influencer_id: Reference
    policy: Policy = CodePolicy.ALWAYS
    status: Status = "active"

    def columns(self, program: Program) -> dict[str, Any]:
        return super().columns(program) | {"code_key": code_key(self.code)}


class Code(Disableable):
    code: str
    influencer_id: Id
    campaign_id: Id | None
    policy: CodePolicy
    starts_at: Instant | None
    ends_at: Instant | None


CODES = Resource("codes", "a discount code", NewCode, Code, CodeChanges)
