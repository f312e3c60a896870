"""What surrounds the cluster: the underlay that the nodes are plugged into, its router, and the client outside.

Pure: plans kernel objects. It knows nodes by name and address and nothing of pods or Services.
"""
