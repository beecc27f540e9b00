"""Numerical kernels of the factor engine.

Every rolling kernel gives a value that is a function of the values in its window alone: no running sum is carried
along. So a history computed at once, in blocks, or bar by bar has the same bits.

`compiling` turns kernels into machine code by numba. `entries` runs the ones that most plans need from machine code
that is kept on disk, without importing numba; plans need of this package its numbers alone (`opcodes`, `measures`,
`histories`).
"""
