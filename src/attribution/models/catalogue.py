"""All models by their names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from attribution.domain.models import U_SHAPED, Model, ReportModel
from attribution.errors import AttributionError

from .markov import markov
from .paths import Path
from .sharing import (
    Attribution,
    Weight,
    first_touch,
    inverse_j,
    j_shaped,
    last_touch,
    linear,
    participation,
    position_based,
    shapley,
)

_SIMPLE: Final[Mapping[Model | ReportModel, Callable[[Iterable[Path]], Attribution]]] = {
    Model.LAST_TOUCH: last_touch,
    Model.FIRST_TOUCH: first_touch,
    Model.LINEAR: linear,
    Model.J_SHAPED: j_shaped,
    Model.INVERSE_J: inverse_j,
    ReportModel.PARTICIPATION: participation,
    ReportModel.SHAPLEY: shapley,
}
MODELS: Final[tuple[Model | ReportModel, ...]] = (
    *(model for model in Model if model is not Model.TIME_DECAY),
    *ReportModel,
)
"""Those that plain paths are enough for."""


class ModelError(AttributionError):
    """There is no such model of plain paths"""


def attribute(
    model: str,
    paths: Sequence[Path],
    *,
    order: int = 1,
    nulls: bool = True,
    position_weights: Sequence[Weight] = U_SHAPED,
) -> Attribution:
    """`order` and `nulls` are of `markov`, `position_weights` of `position_based`.

    Raises `ModelError`, `ChainError`, `WeightsError`.
    """
    if model == Model.TIME_DECAY:
        raise ModelError("time_decay needs the age of each touch, and paths have none")
    if model == ReportModel.MARKOV:
        return markov(paths, order, nulls=nulls)
    if model == Model.POSITION_BASED:
        return position_based(paths, position_weights)
    for known, shared in _SIMPLE.items():
        if model == known:
            return shared(paths)
    raise ModelError(f"{model!r} is none of {', '.join(MODELS)}")


def compare(
    paths: Sequence[Path], models: Sequence[str] = MODELS, *, order: int = 1, nulls: bool = True
) -> dict[str, Attribution]:
    """By model, side by side."""
    return {str(model): attribute(model, paths, order=order, nulls=nulls) for model in models}
