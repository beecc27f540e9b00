"""Messages to the operator: what they say, which way they go, and that no order ever waits for one."""
