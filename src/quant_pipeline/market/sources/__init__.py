"""Where markets come from: embedded US and Chinese markets, the user's files, exports of China, Qlib's data, Alpaca."""
