"""kubectl's descriptions: what `describe` prints for each kind.

A function of `(object, lookup)` per kind writes its lines; `DESCRIBERS` in kinds.py joins them with their kinds. Wording, order and indentation are
those of k8s.io/kubectl/pkg/describe/describe.go. What belongs to an object (events, pods, endpoint slices) is asked for through `Lookup`.
"""
