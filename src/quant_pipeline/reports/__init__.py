"""Pages: HTML building blocks, the look of figures, the writing of values."""
