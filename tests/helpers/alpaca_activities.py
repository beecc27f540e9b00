"""Records of Alpaca's activities as its documentation shows them."""


def record(kind, number, day="2025-01-06", **facts):
    """Return a record of a type with its number within the day."""
    return {"activity_type": kind, "id": f"{day.replace('-', '')}000000{number:03d}::r{number}", "date": day, **facts}
