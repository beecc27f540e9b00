"""Messages arrive at a service on this machine; no secret is in any of them, and no service holds anything up."""

import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest
from apprise import NotifyFormat, OverflowMode
from apprise.decorators import notify

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.kept import KeptMessages
from quant_pipeline.live.notifications.messages import HIDDEN, Message, secrets_of, without_secrets
from quant_pipeline.live.notifications.news import messages_of
from quant_pipeline.live.notifications.ways import Way, ways_of
from quant_pipeline.live.parameters import Channel, Level, NotificationParameters, Topic
from quant_pipeline.trading.ledger.events import Event, EventKind

TOKEN = "s3cr3t-T0ken"
SESSION = pd.Timestamp("2025-01-03")


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.is_down:
            self.send_error(503, f"no room for {TOKEN}")
            return
        self.server.received.append(json.loads(body) | {"path": self.path})
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.received, server.is_down = [], False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def address(service):
    return f"json://user:{TOKEN}@127.0.0.1:{service.server_address[1]}/{TOKEN}"


def rules(**channels):
    return NotificationParameters(channels=channels)


def test_messages_arrive_by_level_and_topic(service):
    found = rules(phone={"level": "warning"}, mail={"topics": ["summary"]})
    ways = ways_of(found, {"phone": address(service), "mail": f"{address(service)}/mail"})
    sender = Dispatcher(ways, found)
    sender.send(Message(Topic.SUMMARY, Level.INFO, "paper: booked", "a good day"))
    sender.send(Message(Topic.ALERTS, Level.ALERT, "paper is halted", "daily loss"))
    sender.send(Message(Topic.FILLS, Level.INFO, "paper: 3 fills"))
    assert sender.flush(60)
    arrived = {
        (row["path"].removeprefix(f"/{TOKEN}").strip("/"), row["title"], row["type"]) for row in service.received
    }
    assert arrived == {("mail", "paper: booked", "info"), ("", "paper is halted", "failure")}
    assert (sender.delivered, sender.undelivered) == (2, 0)
    assert "a good day" in {row["message"] for row in service.received}


def test_no_secret_leaves_in_a_message_and_none_is_logged(service, caplog):
    caplog.set_level(logging.DEBUG)
    found = rules(phone={})
    credentials = {
        "notifications": {"phone": address(service)},
        "alpaca_paper": {"secret_key": "abc/def+ghi=", "id": None},
    }
    sender = Dispatcher(ways_of(found, credentials["notifications"]), found, secrets_of(credentials), pause=0.01)
    sender.send(Message(Topic.TASKS, Level.WARNING, f"failed at {TOKEN}", f"key abc/def+ghi= of {address(service)}"))
    assert sender.flush(60)
    service.is_down = True
    sender.send(Message(Topic.TASKS, Level.INFO, "again", TOKEN))
    assert sender.flush(60)
    (row,) = service.received
    said = json.dumps({"title": row["title"], "message": row["message"]}, ensure_ascii=False) + caplog.text
    assert HIDDEN in said
    assert TOKEN not in said
    assert "abc/def+ghi=" not in said
    assert "the channel 'phone' does not take messages: 'again' was not delivered" in caplog.text
    assert (sender.delivered, sender.undelivered) == (1, 1)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("tgram://123456789:AAbbCCddEEff/987654321", "AAbbCCddEEff"),
        (
            "slack://T1JJ3T3L2-A1BRTD4JD-TIiajkdnlazkcOXrIdevi7FQ/#general",
            "T1JJ3T3L2-A1BRTD4JD-TIiajkdnlazkcOXrIdevi7FQ",
        ),
        ("mailtos://me:p%40ssw0rd!@example.com?to=you@example.com", "p@ssw0rd!"),
        ("ntfys://my-hidden-topic", "my-hidden-topic"),
        ("pover://userkey12@apptoken99", "apptoken99"),
    ],
)
def test_tokens_of_services_are_secrets_wherever_they_stand(url, secret):
    assert secret not in without_secrets(
        f"could not reach {url} or {secret}", secrets_of({"notifications": {"a": url}})
    )


def test_what_matters_is_kept_while_its_service_is_down_and_says_that_it_is_late(service, monkeypatch):
    monkeypatch.setattr("quant_pipeline.live.notifications.dispatcher.LATE_SECONDS", 0.0)
    found, is_given_up = rules(phone={}), threading.Event()
    service.is_down = True
    sender = Dispatcher(ways_of(found, {"phone": address(service)}), found, pause=0.01)
    taken = []
    sender.send(Message(Topic.ALERTS, Level.ALERT, "down", "and up"), lambda: taken.append("down"))
    sender.send(Message(Topic.SUMMARY, Level.INFO, "a summary"))
    while sender.undelivered == 0:
        is_given_up.wait(0.01)
    assert (sender.waiting, taken) == (1, []), "what only informs is given up, an alert is not"
    service.is_down = False
    assert sender.flush(60)
    assert [(row["title"], row["message"]) for row in service.received] == [
        ("down", "and up\n(delivered 0 minutes late)")
    ]
    assert (sender.delivered, sender.undelivered, taken) == (1, 1, ["down"])


def by_phone(file, take, secrets=()):
    rules = NotificationParameters(repeat_minutes=10)
    return Dispatcher([Way("phone", Channel(), take)], rules, secrets, pause=60.0, kept=KeptMessages(file))


def test_alerts_that_wait_when_the_process_ends_or_is_killed_arrive_after_the_restart_once(tmp_path):
    file, taken = tmp_path / "live/messages.json", []
    halted = Message(Topic.ALERTS, Level.ALERT, "paper is halted", f"daily loss, key {TOKEN}")
    missed = Message(Topic.MISSED, Level.WARNING, "paper: execution is missed")
    killed = by_phone(file, lambda message: False, secrets=[TOKEN])
    killed.send(halted)
    killed.send(missed, lambda: None)  # Its sender sends it again after a restart.
    killed.send(Message(Topic.SUMMARY, Level.INFO, "a summary"))
    assert [row["title"] for row in json.loads(file.read_text())] == ["paper is halted"]
    assert TOKEN not in file.read_text()
    ended = by_phone(file, lambda message: False)
    ended.send(Message(Topic.ALERTS, Level.WARNING, "paper: the disk is full"))
    ended.close(0.0)
    again = by_phone(file, lambda message: taken.append(message.title) or True, secrets=[TOKEN])
    again.send(halted)
    assert again.flush(60)
    again.close(0.0)
    assert taken == ["paper is halted", "paper: the disk is full"]
    assert not file.exists()
    by_phone(file, lambda message: taken.append(message.title) or True).close(0.0)
    assert len(taken) == 2
    killed.close(0.0)


def test_what_was_kept_says_that_it_is_late_and_where_its_channel_is_gone_the_log_says_it(tmp_path, caplog):
    file, taken = tmp_path / "messages.json", []
    row = {"channel": "phone", "at": time.time() - 3600, "topic": "alerts", "level": "ALERT", "title": "halted"}
    file.write_text(json.dumps([row | {"text": "a loss"}, row | {"text": "", "channel": "mail"}]))
    sender = by_phone(file, lambda message: taken.append(message.text) or True)
    assert sender.flush(60)
    sender.close(0.0)
    assert taken == ["a loss\n(delivered 60 minutes late)"]
    assert "there is no channel 'mail' any more: 'halted' was not delivered" in caplog.text


def test_what_is_meant_for_a_wrong_address_waits_for_a_process_with_a_right_one(tmp_path):
    file, taken = tmp_path / "messages.json", []
    found = rules(phone={})
    wrong = Dispatcher(ways_of(found, {"phone": f"nothing://{TOKEN}"}), found, kept=KeptMessages(file))
    wrong.send(Message(Topic.ALERTS, Level.ALERT, "paper is halted"))
    wrong.close(60)
    wrong.send(Message(Topic.ALERTS, Level.ALERT, "the live process ends by an error"))
    right = by_phone(file, lambda message: taken.append(message.title) or True)
    assert right.flush(60)
    right.close(0.0)
    assert taken == ["paper is halted", "the live process ends by an error"]


@pytest.mark.parametrize("content", ["[{", '[{"channel": "phone"}]', '[{"channel": "phone", "at": 1, "topic": "x"}]'])
def test_a_file_of_messages_that_cannot_be_read_keeps_no_process_from_its_start(tmp_path, caplog, content):
    file = tmp_path / "messages.json"
    file.write_text(content)
    assert KeptMessages(file).read() == []
    assert "cannot be read" in caplog.text


def test_a_whole_file_that_cannot_be_read_is_put_aside(tmp_path, caplog):
    file = tmp_path / "messages.json"
    for content in ("[" * 100_000, "5"):
        file.write_text(content)
        assert KeptMessages(file).read() == []
        assert (file.with_suffix(".unreadable").read_text(), file.exists()) == (content, False)
    assert "put aside as" in caplog.text


def test_one_message_that_cannot_be_read_loses_no_other(tmp_path, caplog):
    file, row = tmp_path / "messages.json", {"channel": "phone", "topic": "alerts", "level": "ALERT", "text": "a loss"}
    rows = [row | {"at": 10**400, "title": "a"}, row | {"at": 1, "title": "b", "topic": "later"}, 7]
    file.write_text(json.dumps([*rows, row | {"at": 1, "title": "halted"}]))
    assert [each.message.title for each in KeptMessages(file).read()] == ["halted"]
    assert caplog.text.count("cannot be read") == 3


def test_half_a_character_is_replaced_and_stops_no_channel(tmp_path):
    taken = []
    sender = by_phone(tmp_path / "messages.json", lambda message: taken.append(message.text) or True)
    for text in ("rejected: \ud83d", "and the next"):
        sender.send(Message(Topic.ALERTS, Level.ALERT, "paper: an order", text))
    assert sender.flush(60)
    sender.close(0.0)
    assert taken == ["rejected: ?", "and the next"]


@pytest.mark.parametrize(("channel", "age"), [("mail", 60), ("phone", 2 * 86_400)], ids=["renamed", "given up"])
def test_an_alert_that_is_raised_anew_is_no_repeat_of_one_that_never_arrives(tmp_path, channel, age):
    file, taken, is_up = tmp_path / "messages.json", [], threading.Event()
    row = {"channel": channel, "at": time.time() - age, "topic": "alerts", "level": "ALERT", "title": "halted"}
    file.write_text(json.dumps([row | {"text": "a loss"}]))
    sender = by_phone(file, lambda message: is_up.is_set() and (taken.append(message.text) or True))
    assert sender.flush(60)
    is_up.set()
    sender.send(Message(Topic.ALERTS, Level.ALERT, "halted", "a loss"))
    assert sender.flush(60)
    sender.close(0.0)
    assert taken == ["a loss"]


def test_a_channel_that_hangs_keeps_no_other_one_waiting():
    released, taken = threading.Event(), threading.Event()
    ways = [
        Way("hangs", Channel(), lambda message: released.wait(300)),
        Way("works", Channel(), lambda message: taken.set() or True),
    ]
    sender = Dispatcher(ways, NotificationParameters())
    sender.send(Message(Topic.ALERTS, Level.ALERT, "paper is halted"))
    assert taken.wait(60)
    released.set()
    assert sender.flush(60)


def test_a_message_that_a_service_refuses_keeps_no_other_one_waiting():
    taken = []
    way = Way("picky", Channel(), lambda message: message.title != "refused" and not taken.append(message.title))
    sender = Dispatcher([way], NotificationParameters(), pause=60.0)
    for title in ("refused", "a", "b"):
        sender.send(Message(Topic.ALERTS, Level.ALERT, title))
    while len(taken) < 2:
        time.sleep(0.005)
    assert (taken, sender.waiting) == (["a", "b"], 1)
    sender.close(0.0)


def test_services_are_given_text_and_long_messages_in_parts():
    seen = []

    @notify(on="probe")
    def take(body, title, notify_type, *_, body_format=None, **__):
        seen.append((body, body_format))

    found = rules(phone={}, own={})
    long, own = ways_of(found, {"phone": "discord://123456789012345678/token", "own": "probe://"})
    (service,) = long.deliver.__self__._apprise
    assert service.overflow_mode is OverflowMode.SPLIT
    assert own.deliver(Message(Topic.TASKS, Level.INFO, "failed", "in <module>\n  next line"))
    assert seen == [("in <module>\n  next line", NotifyFormat.TEXT)]


def test_of_too_many_messages_the_ones_that_matter_least_are_dropped_and_counted():
    released, begun, taken = threading.Event(), threading.Event(), []

    def slowly(message):
        begun.set()
        released.wait(60)
        taken.append(message.title)
        return True

    sender = Dispatcher([Way("slow", Channel(), slowly)], NotificationParameters(max_waiting=3))
    sender.send(Message(Topic.FILLS, Level.INFO, "first"))
    assert begun.wait(60)
    for title, level in (
        ("a", Level.INFO),
        ("b", Level.ALERT),
        ("c", Level.INFO),
        ("d", Level.WARNING),
        ("e", Level.ALERT),
    ):
        sender.send(Message(Topic.ALERTS, level, title))
    released.set()
    assert sender.flush(60)
    assert taken == ["first", "b", "d", "e"]
    assert sender.dropped == 2


def test_the_same_message_does_not_repeat_within_its_time():
    now, taken = [0.0], []
    way = Way("test", Channel(), lambda message: taken.append(message.title) or True)
    sender = Dispatcher([way], NotificationParameters(repeat_minutes=10), clock=lambda: now[0])
    for at in (0, 60, 599, 601, 700):
        now[0] = at
        sender.send(Message(Topic.ALERTS, Level.ALERT, "disk full"))
    assert sender.flush(60)
    assert len(taken) == 2


def test_a_channel_without_an_address_or_with_an_unknown_one_is_refused_without_naming_it():
    with pytest.raises(ConfigurationError, match=r"channel `phone` of notifications\.channels has no address"):
        ways_of(rules(phone={}), {"phone": None})
    found = rules(phone={})
    (way,) = ways_of(found, {"phone": f"nothing://{TOKEN}"})
    with pytest.raises(ConfigurationError, match="none that apprise knows") as refused:
        way.prepare()
    assert TOKEN not in refused.value.message
    with pytest.raises(ConfigurationError, match="none that apprise knows"):
        Dispatcher([way], found).require_channels()


def test_news_of_the_ledger_are_fills_denials_alerts_and_changes_of_state():
    order = {"side": "buy", "quantity": 30, "instrument": "AAA"}
    events = [
        Event(SESSION, EventKind.FILL, "1", {"side": "buy", "quantity": "10", "instrument": "AAA", "price": "5.10"}),
        Event(SESSION, EventKind.ORDER_DENIED, "2", {"order": order, "message": "above the limit"}),
        Event(SESSION, EventKind.ALERT_RAISED, "3", {"code": "EXCHANGE_HOURS", "message": "closed today"}),
        Event(
            SESSION, EventKind.TRADING_STATE_CHANGED, "4", {"state": "halted", "code": "DAILY_LOSS", "message": "-5 %"}
        ),
        Event(SESSION, EventKind.SESSION_CLOSED, "5", {}),
    ]
    assert [(str(m.topic), m.level.name, m.title, m.text) for m in messages_of("paper", events)] == [
        ("fills", "INFO", "paper: 1 fill", "buy 10 AAA at 5.10"),
        ("denials", "WARNING", "paper: 1 order denied or rejected", "buy 30 AAA: above the limit"),
        ("alerts", "ALERT", "paper: EXCHANGE_HOURS", "closed today"),
        ("alerts", "ALERT", "paper is halted", "-5 % (DAILY_LOSS)"),
    ]


def test_thousands_of_fills_are_one_message_that_names_the_command_with_all_of_them():
    facts = {"side": "buy", "quantity": "10", "instrument": "AAA", "price": "5.10"}
    events = [Event(SESSION, EventKind.FILL, f"fill:{number}", facts) for number in range(3000)]
    (message,) = messages_of("paper", events)
    assert message.title == "paper: 3000 fills"
    assert message.text.splitlines() == [
        *["buy 10 AAA at 5.10"] * 20,
        "and 2,980 more (all: `kedro account trades --env paper --last 3000`)",
    ]


def test_an_address_that_is_none_is_hidden_whole_and_stops_nothing():
    wrong = "tgram://[123456:a-token/"
    assert without_secrets(f"no service for {wrong}", secrets_of({"notifications": {"phone": wrong}})) == (
        f"no service for {HIDDEN}"
    )
