"""Previews of statements that a test writes as text."""

from quant_pipeline.trading.statements import StatementFile, read_statements
from quant_pipeline.trading.statements.preview import preview_statements

IB_HEAD = """\
Statement,Header,Field Name,Field Value
Statement,Data,BrokerName,Interactive Brokers LLC
Statement,Data,Period,"January 2, 2025 - March 31, 2025"
Account Information,Header,Field Name,Field Value
Account Information,Data,Base Currency,USD
Deposits & Withdrawals,Header,Currency,Settle Date,Description,Amount
Deposits & Withdrawals,Data,USD,2025-01-02,Electronic Fund Transfer,100000
Deposits & Withdrawals,Data,Total,,,100000
"""
IB_TRADES = (
    "Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price,C. Price,Proceeds,"
    "Comm/Fee,Basis,Realized P/L,MTM P/L,Code\n"
)
IB_ACTIONS = (
    "Corporate Actions,Header,Asset Category,Currency,Report Date,Date/Time,Description,Quantity,Proceeds,Value,"
    "Realized P/L,Code\n"
)
ALPACA_HEAD = """\
activity_type,activity_sub_type,id,date,net_amount,symbol,qty,status,transaction_time,type,price,side,previous_id,description
CSD,,a,2025-01-02,10000,,,executed,,,,,,deposit
FILL,,b,,,AAPL,10,,2025-01-03T14:30:01.25Z,fill,200,buy,,
"""


def bought(symbol, quantity=100, price=20):
    """Write the row of an order of Interactive Brokers with a commission of one dollar."""
    value = quantity * price
    amounts = f"{quantity},{price},{price},{-value},-1,{value + 1},0,0,O"
    return f'Trades,Data,Order,Stocks,USD,{symbol},"2025-01-03, 10:00:00",{amounts}\n'


def moved(description, quantity, proceeds=0):
    """Write the row of a corporate action of Interactive Brokers."""
    days = '2025-02-11,"2025-02-10, 20:25:00"'
    return f'Corporate Actions,Data,Stocks,USD,{days},"{description}",{quantity},{proceeds},0,0,\n'


def ib(trades="", actions="", rest=""):
    """Write an activity statement of Interactive Brokers."""
    return IB_HEAD + (IB_TRADES + trades if trades else "") + (IB_ACTIONS + actions if actions else "") + rest


def preview_of(parameters, files, calendar="XNYS"):
    """Preview files given as text or bytes by their names."""
    read = [
        StatementFile(name, content if isinstance(content, bytes) else content.encode())
        for name, content in files.items()
    ]
    return preview_statements(read_statements(read, parameters, calendar))
