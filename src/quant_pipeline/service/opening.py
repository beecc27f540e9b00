"""Open everything that the service of an environment needs: project, jobs, results, rules of access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kedro.config import MissingConfigException
from pydantic import ValidationError

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.service.access import Access
from quant_pipeline.service.jobs.runner import JobRunner, Limits
from quant_pipeline.service.jobs.table import JobTable
from quant_pipeline.service.jobs.worker import JobSetting
from quant_pipeline.service.parameters import CREDENTIALS, ServiceParameters, Token
from quant_pipeline.service.results import ResultStore
from quant_pipeline.service.served import Served
from quant_pipeline.service.served_project import ServedProject
from quant_pipeline.service.shares import Shares, Turns


def open_served(project: ServedProject, changes: Mapping[str, Any]) -> Served:
    """Open jobs and results of an account, in its folder ``service``; ``changes`` are of the rules."""
    rules = project.rules("service", ServiceParameters).model_copy(update=dict(changes))
    folder = project.folder
    results = folder / "results"
    folder.mkdir(parents=True, exist_ok=True)
    url = project.account.ledger.url or sqlite_url(folder / "jobs.sqlite")
    setting = JobSetting(
        id="",
        url=url,
        project=str(project.place.project_path),
        environment=project.environment,
        params=project.params,
        results=str(results),
        max_megabytes=rules.max_stored_megabytes,
        threads=rules.job_threads,
        gigabytes=rules.job_gigabytes,
        hours=rules.job_hours,
        cores=rules.job_cores,
        printed_megabytes=rules.job_printed_megabytes,
    )
    limits = Limits(rules.max_jobs, rules.max_waiting_jobs, rules.max_ended_jobs)
    return Served(
        project=project,
        rules=rules,
        jobs=JobRunner(JobTable(url), folder / "jobs", setting, limits),
        results=ResultStore(results, rules.max_stored_megabytes),
        questions=Turns(rules.max_questions, len(_tokens(project))),
        streams=Shares(rules.max_streams),
    )


def open_access(project: ServedProject, rules: ServiceParameters, public: bool) -> Access:
    """Read the tokens and the rules of access."""
    return Access.of(rules, _tokens(project), public)


def _tokens(project: ServedProject) -> dict[str, Token]:
    try:
        found: Mapping[str, Any] = project.project.configuration["credentials"].get(CREDENTIALS) or {}
    except MissingConfigException:
        return {}
    tokens = {}
    for name, entry in found.items():
        try:
            tokens[name] = Token.model_validate(entry)
        except ValidationError as error:
            # The values are secrets: the message names keys alone, and the cause is not shown.
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ConfigurationError(f"{CREDENTIALS}.{name}: {faults}. Correct it in credentials.yml.") from None
    _require_different(tokens)
    return tokens


def _require_different(tokens: Mapping[str, Token]) -> None:
    """Refuse a token that two holders have: whose scopes it has, and whom the audit log names, would be chance."""
    holders: dict[str, str] = {}
    for name, token in tokens.items():
        other = holders.setdefault(token.token.get_secret_value(), name)
        if other != name:
            text = f"{CREDENTIALS}.{other} and {CREDENTIALS}.{name} are the same token"
            raise ConfigurationError(f"{text}. Give each its own in credentials.yml.")
