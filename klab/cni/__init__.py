"""Pod networks: what a node needs so that pods on it reach all other pods, and what each pod needs.

One file a plugin, each with the same two functions: `plan_node(network, node, others)` and `plan_pod(network, node, pod)`.
Pure: they give kernel objects and addresses; they know nothing of Services, containers or the store.
"""
