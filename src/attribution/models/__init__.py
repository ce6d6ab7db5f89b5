"""Attribution models over plain paths: pure functions, for use without the service. See docs/models.md.

>>> from attribution.models import Path, linear
>>> linear([Path(("instagram", "email"), conversions=3, value=60)])["email"].value
Fraction(30, 1)
"""

from .catalogue import MODELS, ModelError, attribute, compare
from .markov import ChainError, markov
from .paths import MalformedPathsError, MalformedRow, Path, PathError, read_paths
from .sharing import (
    Attribution,
    ChannelCredit,
    WeightsError,
    first_touch,
    inverse_j,
    j_shaped,
    last_touch,
    linear,
    participation,
    position_based,
    shapley,
)

__all__ = [
    "MODELS",
    "Attribution",
    "ChainError",
    "ChannelCredit",
    "MalformedPathsError",
    "MalformedRow",
    "ModelError",
    "Path",
    "PathError",
    "WeightsError",
    "attribute",
    "compare",
    "first_touch",
    "inverse_j",
    "j_shaped",
    "last_touch",
    "linear",
    "markov",
    "participation",
    "position_based",
    "read_paths",
    "shapley",
]
