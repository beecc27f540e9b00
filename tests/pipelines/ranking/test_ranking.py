"""The ranking of a session: what each column says, its files, and who is left out."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.ranking.manifest import verify, write_json
from quant_pipeline.pipelines.ranking.nodes import rank_universe
from quant_pipeline.pipelines.ranking.parameters import RankingParameters
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.browser import require_drawn

DAYS = pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-04"])
NAMES = ["AAA", "BBB", "CCC", "=DD"]
LABEL = "Ref($open, -2)/Ref($open, -1)-1"
ENSEMBLE = EnsembleParameters.model_validate({"default": "both", "combinations": {"both": {"models": ["one", "two"]}}})


def market():
    rows = [(day, name, 10.0, 1e6 if name != "CCC" else 10.0) for day in DAYS for name in NAMES]
    bars = pd.DataFrame(rows, columns=["date", "instrument", "close", "volume"])
    instruments = pd.DataFrame({"instrument": NAMES[:3], "name": ["Alpha", "Beta", "Gamma"], "sector": "Energy"})
    return {
        "bars": bars,
        "sessions": pd.DataFrame({"date": DAYS}),
        "instruments": instruments,
        "universe_members": pd.DataFrame({"date": DAYS[-1], "instrument": NAMES}),
    }


def scores_of_model(values, day=DAYS[-1]):
    index = pd.MultiIndex.from_product([[day], NAMES], names=["datetime", "instrument"])
    return pd.DataFrame({"score": values, "label": LABEL, "bundle": "B1"}, index=index)


def fused(values, day=DAYS[-1]):
    return pd.DataFrame(
        {
            "datetime": day, "instrument": [*NAMES, "OUT"], "combination": "both", "score": [*values, 9.0],
            "label": LABEL, "bundles": '{"one": "B1", "two": "B2"}', "weights_sha256": "f00",
        }
    )  # fmt: skip


def ranked(**changes):
    given = {
        **market(),
        "score_file": None,
        "previous_ranking": None,
        "decile_history": None,
        "ensemble": ENSEMBLE,
        "label": LabelParameters(),
        "market_rules": MarketRules(),
        "ranking": RankingParameters(),
        "strategy": StrategyRules(),
        "as_of": "2024-01-04",
        "latest_fused_scores": fused([0.4, 0.3, 0.2, 0.1]),
        "one_latest_scores": scores_of_model([4.0, 3.0, 2.0, 1.0]),
        "two_latest_scores": scores_of_model([1.0, 4.0, np.nan, 2.0]),
        **changes,
    }
    return rank_universe(**given)


def of(table, source):
    return table[table["source"] == source].set_index("instrument")


def test_every_column_of_a_ranking_by_hand():
    both = of(ranked()[0], "both")
    assert both.index.tolist() == NAMES, "the instrument outside of the universe is not ranked"
    assert both["rank"].tolist() == [1, 2, 3, 4]
    assert both["index"].tolist() == [75.0, 25.0, -25.0, -75.0]
    assert both["name"].tolist() == ["Alpha", "Beta", "Gamma", ""]
    assert both["is_illiquid"].tolist() == [False, False, True, False]
    assert both["traded_value"].tolist() == [1e7, 1e7, 100.0, 1e7]
    # `one` sees AAA and BBB above its median, `two` has BBB above, AAA below, =DD in the middle and no CCC.
    assert both["agreement"].tolist() == [0.5, 1.0, 1.0, 1.0]
    assert both["change"].isna().all()
    assert set(both["execution_session"]) == {pd.Timestamp("2024-01-05")}
    assert both["age"].tolist() == [0] * 4
    assert (both["deal_price"] == "open").all()


def test_weekly_strategy_names_the_close_at_which_it_decides_next():
    weekly = StrategyRules(schedule={"frequency": "weekly", "phase": 4})
    _, _, _, page, manifest = ranked(strategy=weekly)
    # Thursday the 4th: the week's decision is that of Friday.
    assert manifest["next_decision"] == "2024-01-05"
    assert "The strategy decides nothing at this close, and next at that of 2024-01-05." in page
    _, _, _, page, manifest = ranked()
    assert manifest["next_decision"] == "2024-01-04"
    assert "decides nothing" not in page


def test_a_missing_score_is_absent_and_not_the_worst():
    two = of(ranked()[0], "two")
    assert two.index.tolist() == ["BBB", "=DD", "AAA"]
    assert two["index"].tolist() == pytest.approx([200 / 3, 0.0, -200 / 3])


def test_the_change_is_that_of_the_index_and_a_new_name_has_none():
    before = ranked(latest_fused_scores=fused([0.1, 0.3, 0.2, np.nan]))[0]
    assert of(ranked(previous_ranking=before)[0], "both")["change"].tolist()[:3] == pytest.approx(
        [75 + 200 / 3, 25 - 200 / 3, -25.0]
    )
    assert of(ranked(previous_ranking=before)[0], "both")["change"].isna().tolist() == [False, False, False, True]


def test_change_between_two_scalings_is_unknown():
    before = ranked(latest_fused_scores=fused([0.1, 0.3, 0.2, np.nan]))[0]
    minmax = RankingParameters(scaling="minmax")
    switched = ranked(previous_ranking=before, ranking=minmax)[0]
    assert switched["change"].isna().all()
    assert set(switched["scaling"]) == {"minmax"}
    assert ranked(previous_ranking=switched, ranking=minmax)[0]["change"].tolist() == [0.0] * len(switched)
    # Tables of before the column say nothing of their scaling.
    assert ranked(previous_ranking=before.drop(columns="scaling"))[0]["change"].isna().all()


def test_each_row_has_the_history_of_its_decile():
    history = pd.DataFrame(
        {"source": "both", "decile": range(1, 11), "net_return": np.arange(10) / 100, "lower": 0.0, "upper": 0.2,
         "sessions": 99, "cases": 500}
    )  # fmt: skip
    both = of(ranked(decile_history=history)[0], "both")
    assert both["decile"].tolist() == [9, 7, 4, 2]
    assert both["net_return"].tolist() == [0.08, 0.06, 0.03, 0.01]
    assert both["cases"].tolist() == [500] * 4
    assert of(ranked(decile_history=history)[0], "one")["net_return"].isna().all()


def test_older_scores_have_their_age_and_too_old_ones_are_left_out_with_a_warning(caplog):
    file = pd.DataFrame({"datetime": DAYS[0], "instrument": NAMES, "score": [1.0, 2.0, 3.0, 4.0]})
    assert of(ranked(score_file=file)[0], "file")["age"].tolist() == [2] * 4
    assert "file" not in set(ranked(score_file=file, ranking=RankingParameters(max_age=1))[0]["source"])
    assert "file has no scores of 2024-01-04 (the newest are of 2024-01-02) and is not ranked" in caplog.text


def test_without_any_score_the_command_that_makes_them_is_named():
    missing = scores_of_model([np.nan] * 4)
    with pytest.raises(StaleDataError, match="kedro run --pipelines prediction --params as_of=2024-01-04"):
        ranked(latest_fused_scores=None, one_latest_scores=missing, two_latest_scores=missing)


def test_top_sends_the_best_of_each_source_and_the_table_keeps_all():
    table, csv, as_json, page, _ = ranked(ranking=RankingParameters(top=2))
    assert table.groupby("source")["rank"].max().to_dict() == {"both": 4, "one": 4, "two": 3}
    for sent in (pd.DataFrame(json.loads(as_json)), pd.read_csv(io.StringIO(csv.removeprefix("\ufeff")))):
        assert sent.groupby("source")["rank"].max().to_dict() == {"both": 2, "one": 2, "two": 2}
    assert "The first 2 of 2" in page
    assert "=DD" not in set(pd.DataFrame(json.loads(as_json)).query("source == 'both'")["instrument"])


@pytest.mark.parametrize(("top", "times"), [(None, 1), (2, 2)])
def test_rows_are_written_as_csv_once_for_their_file_and_their_hash(monkeypatch, top, times):
    write, written = pd.DataFrame.to_csv, []

    def count(table, *arguments, **options):
        written.append(len(table))
        return write(table, *arguments, **options)

    monkeypatch.setattr(pd.DataFrame, "to_csv", count)
    table, *_, manifest = ranked(ranking=RankingParameters(top=top))
    assert (len(written), max(written)) == (times, len(table))
    assert (manifest["rows_sha256"] == manifest["files"]["ranking.csv"]) == (top is None)


def test_instrument_that_rises_into_the_top_has_its_change():
    top = RankingParameters(top=2)
    before = ranked(ranking=top, latest_fused_scores=fused([0.4, 0.3, 0.2, 0.1]))[0]
    sent = json.loads(ranked(ranking=top, previous_ranking=before, latest_fused_scores=fused([0.1, 0.2, 0.3, 0.4]))[2])
    changes = {row["instrument"]: row["change"] for row in sent if row["source"] == "both"}
    assert changes == {"=DD": 150.0, "CCC": 50.0}


def test_the_files_say_the_same_and_a_changed_byte_is_found(tmp_path):
    table, csv, as_json, page, manifest = ranked()
    (tmp_path / "ranking.csv").write_text(csv, encoding="utf-8")
    (tmp_path / "ranking.json").write_text(as_json, encoding="utf-8")
    (tmp_path / "ranking.html").write_text(page, encoding="utf-8")
    table.to_parquet(tmp_path / "ranking.parquet")
    read = pd.read_csv(tmp_path / "ranking.csv", encoding="utf-8-sig")
    assert read["index"].tolist() == pytest.approx(table["index"].tolist())
    assert "'=DD" in set(read["instrument"]), "no spreadsheet runs it"
    assert [row["instrument"] for row in json.loads(as_json)] == table["instrument"].tolist()
    for path in sorted(tmp_path.iterdir()):
        assert verify(path, manifest), path
    changed = tmp_path / "ranking.csv"
    changed.write_bytes(changed.read_bytes().replace(b"AAA", b"AAB", 1))
    assert not verify(changed, manifest)
    table.assign(score=table["score"] + 1).to_parquet(tmp_path / "ranking.parquet")
    assert not verify(tmp_path / "ranking.parquet", manifest)
    (tmp_path / "ranking.parquet").write_bytes(b"PAR1 cut off")
    assert not verify(tmp_path / "ranking.parquet", manifest)
    with pytest.raises(ConfigurationError, match=r"no file 'other\.csv'"):
        verify(changed.rename(tmp_path / "other.csv"), manifest)


@pytest.mark.slow
def test_the_page_is_drawn_in_a_browser_at_two_widths(tmp_path):
    require_drawn(ranked()[3], tmp_path / "ranking.html")


def test_the_manifest_names_what_made_the_scores():
    manifest = ranked()[4]
    assert manifest["sources"]["both"] == {
        "kind": "combination", "bundles": {"one": "B1", "two": "B2"}, "weights_sha256": "f00",
    }  # fmt: skip
    assert manifest["sources"]["one"]["bundles"] == {"one": "B1"}
    assert (manifest["bars_up_to"], manifest["execution_session"], manifest["horizon"]) == (
        "2024-01-04",
        "2024-01-05",
        1,
    )


@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_the_list_of_rows_is_indented_as_json_indents_it(n_rows):
    texts = ['a,\n  "b": c', "é", None]
    table = pd.DataFrame({"text": texts, "score": [1e-9, np.nan, 1e22], "date": DAYS, "is_held": True}).head(n_rows)
    written = write_json(table)
    assert written == json.dumps(json.loads(written), indent=1, ensure_ascii=False) + "\n"
    assert [row["text"] for row in json.loads(written)] == texts[:n_rows]
