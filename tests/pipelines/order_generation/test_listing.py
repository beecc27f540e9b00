import pandas as pd

from quant_pipeline.datasets.order_list import OrderList
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.order_generation.listing import list_orders
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules

ORDERS = pd.DataFrame(
    {
        "instrument": ["AAA", "BBB", "CCC"],
        "side": ["hold", "buy", "sell"],
        "quantity": [0, 10, 5],
        "reference_price": [1.0, 2.123456, 3.0],
        "estimated_value": [0.0, 21.234560000000002, 15.0],
        "reason": ["held", "bought", "sold"],
        "alternate": False,
        "remark": "",
    }
)
INSTRUMENTS = pd.DataFrame({"instrument": ["BBB", "CCC"], "name": ["Bee", "=See"], "sector": ["Energy", "Utilities"]})


def listed(orders=ORDERS, as_of="2024-12-31"):
    return list_orders(orders, INSTRUMENTS, MarketRules(), ExecutionRules(), as_of)


def test_the_list_says_all_that_an_order_needs_and_lies_under_the_session_of_its_execution(tmp_path):
    kept = OrderList(str(tmp_path), as_of="2024-12-31")
    kept.save(listed())
    assert (tmp_path / "2025-01-02.csv").read_text().splitlines() == [
        "decided_on,executes_on,executes_at,side,instrument,name,sector,quantity,order_type,reference_price,"
        "estimated_value,currency,alternate,remark,reason",
        "2024-12-31,2025-01-02,open,sell,CCC,'=See,Utilities,5,market,3.0,15.0,USD,False,,sold",
        "2024-12-31,2025-01-02,open,buy,BBB,Bee,Energy,10,market,2.1235,21.23,USD,False,,bought",
    ]
    assert kept.exists()
    assert kept.load()["name"].tolist() == ["=See", "Bee"]


def test_orders_of_a_later_session_are_none_of_an_earlier_one(tmp_path):
    first, later = (OrderList(str(tmp_path), as_of=day) for day in ("2024-12-31", "2025-01-07"))
    later.save(listed(as_of="2025-01-07"))
    assert not first.exists()
    assert first.load().empty
    assert first.preview()["data"] == []


def test_each_session_finds_its_own_list_and_one_without_orders_has_one_too(tmp_path):
    first, second = (OrderList(str(tmp_path), as_of=day) for day in ("2024-12-31", "2025-01-02"))
    second.save(listed(as_of="2025-01-02"))
    assert not first.exists()
    assert second.exists()
    first.save(listed(ORDERS.iloc[:0]))
    assert not first.exists(), "it does not say of which session it is; to decide again changes nothing"
    assert len(first.load()) == 0
    assert {file.name for file in tmp_path.iterdir()} == {"2025-01-02.csv", "2025-01-03.csv"}
