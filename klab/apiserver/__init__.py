"""The lab's HTTP API: Kubernetes' REST paths over the store, for the CLI, for kubectl and for any client-go program; and the CLI's light client.

It speaks HTTP and Kubernetes' API machinery (verbs, options, watches, patches, Status objects) and holds no state of its own: the store has all
of it, and what objects mean (defaults, validation, allocation) is handed in as admission functions. It must not touch the kernel, decide where
pods run, or keep anything that a restart would lose. `client` imports nothing heavy: it is loaded by every command.
"""
