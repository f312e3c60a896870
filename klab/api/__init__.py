"""Kubernetes objects: loading, schema validation, selectors, defaults, merging. Pure. Parsing ends here.

An object is kept lossless as a plain mapping and read through typed frozen views (`Pod.of(obj)`); the Lab document becomes a typed `Lab`.
Nothing here touches the kernel, a process or the network; files are read by `load` alone. Kubernetes' words, rules and messages are used as they are.
"""
