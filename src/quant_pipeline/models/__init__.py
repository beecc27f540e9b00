"""Models: their specification, the algorithms, training windows, and the bundle in which a fitted model is kept."""
