"""Kernels that read the lines of plain text files; `entries` runs them, `lines` holds them, `cells` what both know."""
