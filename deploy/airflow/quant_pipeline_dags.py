"""Two DAGs of Airflow 3 for one account: the daily run, a task per namespace, and execution.

Copy this file into the DAGs folder of Airflow. Airflow needs nothing of the project: every task is a `kedro run` by the
project's own environment, `.venv/bin/kedro`, on a worker that has the project's folder. These variables of the shell
say which:

- ``QUANT_PIPELINE_PROJECT``: folder of the project;
- ``QUANT_PIPELINE_ENV``: environment of Kedro, which is the account (``sim``);
- ``QUANT_PIPELINE_KEDRO``: program (``.venv/bin/kedro`` in the folder of the project);
- ``QUANT_PIPELINE_DAILY``, ``QUANT_PIPELINE_EXECUTION``: when, as cron words in the time zone below; DAGs of an account
  of which they are not set run by hand only;
- ``QUANT_PIPELINE_ZONE``: time zone (``America/New_York``).
"""

from __future__ import annotations

import os
from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

PROJECT = os.environ.get("QUANT_PIPELINE_PROJECT", "/srv/quant-pipeline")
ACCOUNT = os.environ.get("QUANT_PIPELINE_ENV", "sim")
KEDRO = os.environ.get("QUANT_PIPELINE_KEDRO", f"{PROJECT}/.venv/bin/kedro")
START = pendulum.datetime(2024, 1, 1, tz=os.environ.get("QUANT_PIPELINE_ZONE", "America/New_York"))

DAILY = {
    "ingestion": [],
    "prediction": ["ingestion"],
    "post_trade": ["ingestion"],
    "shadow": ["post_trade"],
    "order_generation": ["prediction", "shadow"],
    "ranking": ["order_generation"],
    "reporting": ["ranking"],
}
"""Namespaces of the pipeline `daily`, each with those that have to be done before."""
NO_PLAN = 5
"""Exit status of an execution for which there is no plan: a session in which nothing is to be done."""
AS_OF = Param(
    None,
    type=["null", "string"],
    pattern=r"^\d{4}-\d{2}-\d{2}$",
    description="Session, YYYY-MM-DD; the account's own when it is empty.",
)


def kedro_run(task: str, words: str, **options: object) -> BashOperator:
    """Return a task that types a `kedro run`; the session comes through the environment, never into the words."""
    return BashOperator(
        task_id=task,
        bash_command=f'exec "$KEDRO" run --env "$ACCOUNT" {words} ${{AS_OF:+--params "as_of=$AS_OF"}}',
        cwd=PROJECT,
        env={"KEDRO": KEDRO, "ACCOUNT": ACCOUNT, "AS_OF": "{{ params.as_of or '' }}"},
        append_env=True,
        **options,
    )


# A run of the day can be repeated as often as it takes: what is done stays as it is.
with DAG(
    f"quant_pipeline_daily_{ACCOUNT}",
    schedule=os.environ.get("QUANT_PIPELINE_DAILY"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    params={"as_of": AS_OF},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    doc_md="Ingestion, prediction, post-trade, orders, ranking and report of one session.",
) as daily:
    tasks = {name: kedro_run(name, f"--pipelines daily --namespaces {name}") for name in DAILY}
    for name, before in DAILY.items():
        for earlier in before:
            tasks[earlier] >> tasks[name]

# What sends orders runs once: what it has left undone is the operator's to judge, and never a timer's to try again.
with DAG(
    f"quant_pipeline_execution_{ACCOUNT}",
    schedule=os.environ.get("QUANT_PIPELINE_EXECUTION"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    params={"as_of": AS_OF},
    default_args={"retries": 0},
    doc_md="Judges, sends and follows the orders of the newest plan.",
) as execution:
    kedro_run("execution", "--pipelines execution", max_active_tis_per_dag=1, skip_on_exit_code=NO_PLAN)
