"""Parameters of reporting."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.pipelines.reporting.sections import SHIPPED, find_section
from quant_pipeline.project.backtest_folder import OWN


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
    backtest
        Folder of the backtest that is shown, below `path`: the account's own, or that of the ``--params`` of the run.
    repeat
        What ``--params`` gave besides the session and the next run needs again; None was not given.
    sections
        Sections of the page in their order: names of shipped ones, or dotted paths of others.
    """

    account: str
    market: str
    path: str
    backtest: str = OWN
    repeat: dict[str, str | None] = Field(default_factory=dict)
    sections: tuple[str, ...] = tuple(SHIPPED)

    @field_validator("sections")
    @classmethod
    def _find_sections(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            find_section(name)
        return names

    @model_validator(mode="after")
    def _name_each_once(self) -> Self:
        anchors = [find_section(name).name for name in self.sections]
        twice = sorted({anchor for anchor in anchors if anchors.count(anchor) > 1})
        if twice:
            raise ValueError(f"two sections are called {first_of(twice)}; a section needs a name of its own")
        return self
