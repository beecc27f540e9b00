"""Tools with which users and tests rehearse: nothing in production imports them."""
