"""Recompute the tables of docs/results.md on real stocks; `make results` runs this.

Every model of the registry is trained in an environment of its own, in ``build/results``, by the commands of the
project. What is computed is kept: a model is trained again only where its entry, the files of the market, the dates or
the version of the project have changed, so that an interrupted run goes on where it was; after a change of the code,
``--again`` computes everything again but what training itself keeps. Only models that are trained are in the tables,
and the page names the others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from quant_pipeline import __version__

PROJECT = Path(__file__).resolve().parents[1]
PAGE = PROJECT / "docs" / "results.md"
FOLDER = PROJECT / "build" / "results"
ENVIRONMENT = "research"
SPLIT = {
    "train": ["2008-01-01", "2017-12-31"],
    "valid": ["2018-01-01", "2018-12-31"],
    "test": ["2019-01-01", None],
}
ALONE = "alone_"
"""Beginning of the names of combinations of a single model."""
MINUS, DASH, TIMES = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"


def main() -> None:
    """Train what is missing, compare what is there, and write the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given = os.environ.get("QUANT_PIPELINE_MARKET_DATA")
    parser.add_argument("--market-folder", type=Path, default=given, help="folder with the daily bars, as traded")
    parser.add_argument(
        "--models", nargs="*", help="train only these of the registry; the tables hold all that are there"
    )
    parser.add_argument("--compare-only", action="store_true", help="train nothing")
    parser.add_argument("--again", action="store_true", help="compute again what was computed by other code")
    arguments = parser.parse_args()
    if arguments.market_folder is None:
        sys.exit("name the folder of the bars: --market-folder FOLDER, or QUANT_PIPELINE_MARKET_DATA in the shell")
    results = Results(FOLDER, arguments.market_folder.resolve())
    if arguments.again:
        shutil.rmtree(results.folder / "stamps", ignore_errors=True)
    registry = registered()
    if unknown := set(arguments.models or ()) - set(registry):
        sys.exit(f"the registry has no {', '.join(sorted(unknown))}; there are {', '.join(registry)}")
    if not arguments.compare_only:
        results.train(arguments.models or list(registry))
    done = [name for name in registry if results.is_trained(name)]
    if not done:
        sys.exit("no model is trained yet")
    results.compare(done)
    write_tables(PAGE, results.tables(), [name for name in registry if name not in done])
    print(f"{PAGE.relative_to(PROJECT)}: {len(done)} of {len(registry)} models")


def registered() -> dict[str, dict[str, Any]]:
    """Return the entries of the registry, enabled or not, in their order."""
    entries: dict[str, dict[str, Any]] = yaml.safe_load(
        (PROJECT / "conf" / "base" / "parameters_models.yml").read_text(encoding="utf-8")
    )["models"]
    return entries


def combinations_of_base() -> dict[str, Any]:
    """Return the combinations that the project ships."""
    text = (PROJECT / "conf" / "base" / "parameters_ensemble.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["ensemble"]["combinations"]
    return found


class Results:
    """The environment in which the figures are computed.

    Parameters
    ----------
    folder
        Where it lies; what is computed stays there.
    market_folder
        Files of the market.
    """

    def __init__(self, folder: Path, market_folder: Path) -> None:
        self.folder, self.market_folder = folder, market_folder
        self._inputs = digest(
            *(file.read_bytes() for file in sorted(market_folder.rglob("*")) if file.is_file()),
            json.dumps([SPLIT, __version__]).encode(),
        )

    def train(self, names: Iterable[str]) -> None:
        """Compute the features, and train the models that are not as they would be."""
        missing = {name: self._identity_of(name) for name in names if not self.is_trained(name)}
        if not missing:
            return
        with self._configured(registered()) as conf:
            if self._stamp("features") != self._inputs:
                self._run(conf, "ingestion,features")
                self._write_stamp("features", self._inputs)
            for name, identity in missing.items():
                print(f"training {name}", flush=True)
                self._run(conf, "training", "--namespaces", name)
                self._write_stamp(name, identity)

    def is_trained(self, name: str) -> bool:
        """Return whether the predictions of a model are those of its entry, its market and its code."""
        return self._stamp(name) == self._identity_of(name)

    def compare(self, names: list[str]) -> None:
        """Score the models side by side, and trade each of them, and the combinations that they allow."""
        with self._configured(names) as conf:
            self._run(conf, "model_report", "--nodes", "compare_models")
            self._run(conf, "ensemble,backtest")

    def tables(self) -> dict[str, pd.DataFrame]:
        """Read what was computed: ``summary``, ``years``, ``combinations`` and ``nav``."""
        market, account = (
            self.folder / "data" / kind / ENVIRONMENT / "08_reporting" for kind in ("markets", "accounts")
        )
        files = {
            "summary": market / "models" / "summary.parquet",
            "years": market / "models" / "years.parquet",
            "combinations": account / "backtest" / "combinations.parquet",
            "nav": account / "backtest" / "nav.parquet",
        }
        return {name: pd.read_parquet(file) for name, file in files.items()}

    @contextmanager
    def _configured(self, enabled: Iterable[str]) -> Iterator[Path]:
        """Make the project if it is not there, and a configuration of this process: several may share the work."""
        package = self.folder / "src" / "quant_pipeline"
        package.parent.mkdir(parents=True, exist_ok=True)
        package.unlink(missing_ok=True)  # In a copy of the project it would lead to the one that was copied.
        package.symlink_to(PROJECT / "src" / "quant_pipeline")
        shutil.copy(PROJECT / "pyproject.toml", self.folder)
        with tempfile.TemporaryDirectory(prefix="conf-", dir=self.folder) as conf:
            self.write_environment(Path(conf), list(enabled))
            yield Path(conf)

    @staticmethod
    def write_environment(conf: Path, enabled: list[str]) -> None:
        """Write the configuration of this project, and an environment with these models."""
        ignored = shutil.ignore_patterns("credentials.yml", "local")
        shutil.copytree(PROJECT / "conf", conf, ignore=ignored, dirs_exist_ok=True)
        (conf / "local").mkdir()
        environment = shutil.copytree(conf / "files", conf / ENVIRONMENT)
        named = yaml.safe_load((environment / "globals.yml").read_text(encoding="utf-8"))
        paths = {"market": f"data/markets/{ENVIRONMENT}", "account": f"data/accounts/{ENVIRONMENT}"}
        named |= {"account": ENVIRONMENT, "market": ENVIRONMENT, "paths": paths}
        (environment / "globals.yml").write_text(yaml.safe_dump(named), encoding="utf-8")
        parameters = yaml.safe_load((environment / "parameters.yml").read_text(encoding="utf-8"))
        parameters |= {"split": SPLIT, "models": {name: {"enabled": name in enabled} for name in registered()}}
        parameters["ensemble"] = combinations(enabled, combinations_of_base())
        (environment / "parameters.yml").write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")

    def _run(self, conf: Path, pipelines: str, *options: str) -> None:
        kedro = str(Path(sys.executable).parent / "kedro")
        command = [kedro, "run", "--env", ENVIRONMENT, "--pipelines", pipelines, *options]
        command += ["--conf-source", str(conf), "--params", f"market_folder={self.market_folder}"]
        shell = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
        done = subprocess.run(command, cwd=self.folder, env=shell, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")

    def _identity_of(self, name: str) -> str:
        return digest(self._inputs.encode(), json.dumps(registered()[name], sort_keys=True).encode())

    def _stamp(self, name: str) -> str | None:
        file = self.folder / "stamps" / name
        return file.read_text(encoding="utf-8") if file.is_file() else None

    def _write_stamp(self, name: str, identity: str) -> None:
        (self.folder / "stamps").mkdir(exist_ok=True)
        (self.folder / "stamps" / name).write_text(identity, encoding="utf-8")


def combinations(enabled: list[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the block `ensemble`: every model alone, and the known combinations whose members are there."""
    block = {
        name: {"enabled": set(entry["models"]) <= set(enabled)}
        for name, entry in known.items()
        if entry.get("enabled", True)
    }
    block |= {f"{ALONE}{name}": {"models": [name], "member_weights": "equal"} for name in enabled}
    default = next(name for name in ("all_icir", *block) if block.get(name, {}).get("enabled", name in block))
    return {"default": default, "combinations": block}


def write_tables(page: Path, tables: Mapping[str, pd.DataFrame], missing: list[str]) -> None:
    """Put the tables between their marks in the page; what stands around them stays."""
    text = page.read_text(encoding="utf-8")
    parts = {
        "information": information_table(tables["summary"], tables["years"], missing),
        "accounts": accounts_table(tables["combinations"], tables["nav"]),
    }
    for name, written in parts.items():
        mark = re.compile(rf"(<!-- make results: {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        if not mark.search(text):
            sys.exit(f"{page} has no mark <!-- make results: {name} --> with an <!-- end --> after it")
        text = mark.sub(lambda found, written=written: f"{found[1]}\n{written}\n\n{found[2]}", text)
    page.write_text(text, encoding="utf-8")


def information_table(summary: pd.DataFrame, years: pd.DataFrame, missing: list[str]) -> str:
    """Write the information coefficients of the models, strongest first."""
    by_year = years.pivot(index="model", columns="year", values="rank_ic")
    header = ["model", "IC", "band", "rank IC", "band", "t", "false discovery rate", "ICIR", "sessions above zero"]
    rows = [
        [
            f"`{row.factor}`",
            small(row.ic),
            f"{small(row.ic_resampled_lower)} to {small(row.ic_resampled_upper)}",
            small(row.rank_ic),
            f"{small(row.rank_ic_resampled_lower)} to {small(row.rank_ic_resampled_upper)}",
            small(row.rank_ic_t, 1),
            percent(row.false_discovery_rate, 0),
            small(row.icir, 3),
            percent(row.positive_share, 0),
            *(small(by_year.loc[row.factor, year], 3) for year in by_year.columns),
        ]
        for row in summary.itertuples()
    ]
    sessions = int(summary["sessions"].max())
    left = f" Not trained yet, so not in the table: {', '.join(f'`{name}`' for name in missing)}." if missing else ""
    said = f"{len(summary)} configurations, one for each model, over {sessions} sessions.{left}"
    return f"{said}\n\n{markdown([*header, *map(str, by_year.columns)], rows)}"


def accounts_table(compared: pd.DataFrame, nav: pd.DataFrame) -> str:
    """Write what accounts earned that follow a combination or one model, and the benchmark; best Sharpe ratio first."""
    order = compared.sort_values("sharpe", ascending=False, kind="stable")
    header = [
        "combination",
        "rank IC",
        "return a year",
        "volatility",
        "Sharpe",
        "largest drawdown",
        "turnover a year",
        "information ratio",
    ]
    rows = [
        [
            f"`{row.combination.removeprefix(ALONE)}`"
            + ("" if row.combination.startswith(ALONE) else " (combination)"),
            small(row.rank_ic),
            percent(row.annualised_return),
            percent(row.annualised_volatility),
            small(row.sharpe, 2),
            percent(row.maximum_drawdown),
            f"{row.annualised_turnover:.0f} {TIMES}",
            small(row.information_ratio, 2),
        ]
        for row in order.itertuples()
    ]
    levels = nav["benchmark"]
    yearly = (levels.iloc[-1] / levels.iloc[0]) ** (252 / (len(levels) - 1)) - 1
    drawdown = (levels / levels.cummax() - 1).min()
    rows.append(["benchmark", "", percent(yearly), "", "", percent(drawdown), "", ""])
    return markdown(header, rows)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Write a table of Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def small(value: float, digits: int = 4) -> str:
    """Write a number below one without its zero, and a minus that is one."""
    if pd.isna(value):
        return DASH
    written = re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")
    return written.replace("-", MINUS)


def percent(value: float, digits: int = 1) -> str:
    """Write a fraction as percent."""
    return DASH if pd.isna(value) else f"{100 * value:.{digits}f} %".replace("-", MINUS)


def digest(*contents: bytes) -> str:
    """Return one hash of several contents."""
    parts = b"".join(hashlib.sha256(content).digest() for content in contents)
    return hashlib.sha256(parts).hexdigest()


if __name__ == "__main__":
    main()
