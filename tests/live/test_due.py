"""Every task of every session is settled exactly once, however long the process sleeps."""

from functools import cache
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.live.due import Owed, due
from quant_pipeline.live.parameters import LiveParameters
from quant_pipeline.live.timetable import TaskKind, Timetable
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.trading.broker_records import TimeInForce
from quant_pipeline.trading.brokers.alpaca.adapter import CAPABILITY

FROM, TO = pd.Timestamp("2015-01-02"), pd.Timestamp("2024-12-31")
MINUTE = pd.Timedelta(minutes=1)


class Hours:
    """Hours of a calendar, looked up once: sixty thousand questions are asked here."""

    def __init__(self, name):
        known = TradingCalendar.of(name, FROM - 40 * pd.Timedelta(days=1), TO + 40 * pd.Timedelta(days=1))
        self.sessions = known.sessions
        self._place = {session: place for place, session in enumerate(self.sessions)}
        times = known.all_hours().apply(lambda naive: naive.dt.tz_localize("UTC"))
        self._hours = list(times.itertuples(index=False, name=None))

    def between(self, start, end):
        return self.sessions[self.sessions.searchsorted(start) : self.sessions.searchsorted(end, side="right")]

    def hours(self, session):
        return self._hours[self._place[session]]

    def next(self, session, n=1):
        return self.sessions[self._place[session] + n]

    def previous(self, session, n=1):
        return self.next(session, -n)

    def latest_on_or_before(self, date):
        return self.sessions[self.sessions.searchsorted(date, side="right") - 1]


hours_of = cache(Hours)


def timetable(calendar="XNYS", has_broker=True, kind=None, **times):
    return Timetable(hours_of(calendar), LiveParameters(**times), has_broker, CAPABILITY.auctions.get(kind))


def at(text):
    return pd.Timestamp(text, tz="UTC")


def settle(instants, table, since):
    """Do everything that is due at some instants; return what was done and missed, in that sequence."""
    settled, log = set(), []
    for now in instants:
        while True:
            found = due(now, table, Owed(since, settled))
            since = found.since
            for what, tasks in (("missed", found.missed), ("done", found.ready)):
                log += [(what, task, now) for task in tasks]
                settled.update(task.name for task in tasks)
            if not found.missed and not found.ready:
                break
    return log


@pytest.mark.parametrize(
    ("calendar", "has_broker", "until"),
    [
        ("XNYS", True, "2024-12-01"),
        ("XSHG", True, "2016-12-01"),
        ("24/7", True, "2016-03-01"),
        ("XNYS", False, "2016-12-01"),
        pytest.param("XNYS", False, "2024-12-01", marks=pytest.mark.slow),
        pytest.param("XSHG", True, "2024-12-01", marks=pytest.mark.slow),
        pytest.param("24/7", True, "2024-12-01", marks=pytest.mark.slow),
    ],
)
def test_ten_years_settle_each_task_of_each_session_exactly_once(calendar, has_broker, until):
    table = timetable(calendar, has_broker)

    @settings(max_examples=1, deadline=None)
    @given(st.integers(0, 2**32), st.sampled_from([10.0, 30.0]))
    def sleeps(seed, days):
        random = Random(seed)
        now, instants = at("2015-01-05 00:00"), []
        while now < at(until):
            now += MINUTE * (1 + random.random() ** 6 * days * 1440)
            instants.append(now)
        log = settle(instants, table, at("2015-01-05 00:00"))
        names = [task.name for _, task, _ in log]
        assert len(names) == len(set(names))
        wanted = {
            task.name
            for session in table.calendar.between(FROM, TO)
            for task in table.tasks_of(session)
            if at("2015-01-05 00:00") < task.opens <= instants[-1]
        }
        unsettled = wanted - set(names)
        # Only what waits for its turn at the last instant may be left.
        assert set(names) <= wanted
        assert not unsettled
        for what, task, when in log:
            assert task.opens <= when
            assert (what == "missed") == (task.closes is not None and when >= task.closes)

    sleeps()


def test_a_session_asks_for_its_tasks_in_this_sequence():
    log = settle(
        pd.date_range(at("2024-11-26 22:00"), at("2024-11-27 21:59"), freq="min"), timetable(), at("2024-11-26 22:00")
    )
    assert [(str(task.kind), f"{task.session:%m-%d}", f"{now:%d %H:%M}") for _, task, now in log] == [
        ("backup", "11-26", "27 01:00"),
        ("dry_run", "11-27", "27 14:15"),
        ("execution", "11-27", "27 14:30"),
        ("reconciliation", "11-27", "27 21:05"),
        ("daily", "11-27", "27 21:20"),
        ("check", "11-27", "27 21:20"),
    ]


def test_half_days_and_daylight_saving_come_from_the_calendar():
    table = timetable()
    tasks = {task.kind: task for task in table.tasks_of(pd.Timestamp("2024-11-29"))}
    assert tasks[TaskKind.DAILY].opens == at("2024-11-29 18:20")
    assert tasks[TaskKind.EXECUTION].opens == at("2024-11-29 14:30")
    summer = {task.kind: task for task in table.tasks_of(pd.Timestamp("2024-07-02"))}
    assert summer[TaskKind.EXECUTION].opens == at("2024-07-02 13:30")
    assert summer[TaskKind.DAILY].opens == at("2024-07-02 20:20")


@pytest.mark.parametrize(
    ("calendar", "opens"),
    [
        ("XNYS", ["2024-03-08 14:30", "2024-03-11 13:30", "2024-11-01 13:30", "2024-11-04 14:30"]),
        ("XSHG", ["2024-03-08 01:30", "2024-03-11 01:30", "2024-11-01 01:30", "2024-11-04 01:30"]),
    ],
)
def test_over_the_weekends_on_which_new_york_sets_its_clocks_each_task_is_done_once_at_the_hour_of_its_exchange(
    calendar, opens
):
    for first, second in zip(opens[::2], opens[1::2], strict=True):
        begin = at(first) - pd.Timedelta(hours=2)
        log = settle(pd.date_range(begin, at(second) + pd.Timedelta(hours=2), freq="min"), timetable(calendar), begin)
        assert {what for what, _, _ in log} == {"done"}
        executed = [now for _, task, now in log if task.kind is TaskKind.EXECUTION]
        assert executed == [at(first), at(second)]
        names = [task.name for _, task, _ in log]
        assert len(names) == len(set(names)) == 8


def test_the_execution_price_decides_the_window():
    session = pd.Timestamp("2024-11-29")
    opening, opg, cls = (
        timetable(kind=kind).window_of(session) for kind in (None, TimeInForce.OPENING, TimeInForce.CLOSING)
    )
    assert opening == (at("2024-11-29 14:30"), at("2024-11-29 15:00"))
    assert opg == (at("2024-11-29 13:57:30"), at("2024-11-29 14:27:30"))
    assert cls == (at("2024-11-29 17:19:30"), at("2024-11-29 17:49:30")), (
        "ten and a half minutes before a half day's close"
    )


def test_a_process_that_wakes_after_the_window_misses_execution_and_sends_no_late_order():
    log = settle([at("2024-11-27 15:00")], timetable(), at("2024-11-27 14:00"))
    assert [(what, task.name) for what, task, _ in log] == [
        ("missed", "dry_run 2024-11-27"),
        ("missed", "execution 2024-11-27"),
    ]


def test_execution_waits_for_the_daily_run_that_plans_its_orders():
    now = at("2024-11-27 14:31")
    found = due(now, timetable(), Owed(at("2024-11-26 21:10"), set()))
    assert [task.name for task in found.ready] == ["daily 2024-11-26"]
    assert "execution 2024-11-27" in [task.name for task in found.waiting]
    found = due(now, timetable(), Owed(at("2024-11-26 21:10"), {"daily 2024-11-26"}))
    assert "execution 2024-11-27" in [task.name for task in found.ready]


def test_a_broker_account_that_slept_a_week_closes_the_newest_session_and_the_simulated_one_all_in_order():
    wakes = [at("2024-11-22 21:30")]
    missed = [
        (what, task.name)
        for what, task, _ in settle(wakes, timetable(), at("2024-11-15 22:00"))
        if "daily" in task.name
    ]
    assert missed == [*(("missed", f"daily 2024-11-{day}") for day in (18, 19, 20, 21)), ("done", "daily 2024-11-22")]
    caught_up = [
        (what, task.name)
        for what, task, _ in settle(wakes, timetable(has_broker=False), at("2024-11-15 22:00"))
        if "daily" in task.name
    ]
    assert caught_up == [("done", f"daily 2024-11-{day}") for day in (18, 19, 20, 21, 22)]


def test_what_will_be_too_late_first_is_done_first():
    # Awake again at 14:31, after an evening on which the backup was not made.
    settled = {"reconciliation 2024-11-26", "daily 2024-11-26", "check 2024-11-26"}
    found = due(at("2024-11-27 14:31"), timetable(), Owed(at("2024-11-26 21:00"), settled))
    assert [task.name for task in found.ready] == ["execution 2024-11-27", "backup 2024-11-26"]


@pytest.mark.parametrize(("back_at", "is_owed"), [("14:36", True), ("14:59:30", False), ("15:10", False)])
def test_a_task_that_a_clock_which_was_ahead_has_called_missed_is_owed_in_its_time(back_at, is_owed):
    missed = {"dry_run 2024-11-27", "execution 2024-11-27"}
    settled = {"daily 2024-11-26", "check 2024-11-26", "backup 2024-11-26", *missed}
    found = due(at(f"2024-11-27 {back_at}"), timetable(), Owed(at("2024-11-26 21:10"), settled, missed))
    assert [task.name for task in found.ready] == (["execution 2024-11-27"] if is_owed else [])
    assert found.missed == ()


def test_a_clock_that_jumps_back_repeats_nothing():
    table, since = timetable(), at("2024-11-27 14:00")
    there_and_back = [at("2024-11-27 14:31"), at("2024-11-27 12:31"), at("2024-11-27 14:16"), at("2024-11-27 21:30")]
    names = [task.name for _, task, _ in settle(there_and_back, table, since)]
    assert len(names) == len(set(names))
    assert names.count("execution 2024-11-27") == 1
