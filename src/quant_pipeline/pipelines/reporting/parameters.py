"""Parameters of reporting."""

from pydantic import Field

from quant_pipeline.parameters import Parameters


class ReportParameters(Parameters):
    """The ``report`` block of the parameters.

    Attributes
    ----------
    account
        Name of the account, which is also its environment.
    market
        Name of the market it trades.
    path
        Folder of the reports of the account.
    repeat
        What ``--params`` gave besides the session and the next run needs again; None was not given.
    """

    account: str
    market: str
    path: str
    repeat: dict[str, str | None] = Field(default_factory=dict)
