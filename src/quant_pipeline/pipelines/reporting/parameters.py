"""What reporting is told by the configuration."""

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
    """

    account: str
    market: str
    path: str
