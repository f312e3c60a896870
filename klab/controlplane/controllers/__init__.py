"""The controllers of kube-controller-manager, one file each: a level-triggered step over the store for one object at a time.

They read and write the store and nothing else, so that a plan can run them on a copy of it. `klab.controlplane.manager` decides when which of
them runs; none of them waits, sleeps or keeps a truth of its own.
"""
