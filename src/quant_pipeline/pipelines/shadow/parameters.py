"""How account and shadow are compared."""

from pydantic import NonNegativeFloat, PositiveInt

from quant_pipeline.common.parameters import Parameters


class ShadowParameters(Parameters):
    """The ``shadow`` block of the parameters.

    Attributes
    ----------
    sessions
        Newest sessions that a first run replays; every later run replays what is new.
    max_unexplained_bps
        Basis points of the account up to which a session may differ from its shadow without a cause; more raises an
        alert.
    """

    sessions: PositiveInt = 250
    max_unexplained_bps: NonNegativeFloat = 1.0
