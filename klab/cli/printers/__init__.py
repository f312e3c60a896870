"""kubectl's tables: what `get` prints for each kind.

A function of `(object, now, wide)` per kind gives the cells of a row; `TABLES` joins it with its columns. The columns and the arithmetic of the
cells are those of Kubernetes' pkg/printers/internalversion/printers.go, which a real API server computes for kubectl.
Pure: no clock, no terminal, no API; `now` comes from outside.
"""
