"""The container runtime of a lab, one process: containerd's role behind a CRI-like protocol on a unix socket.

It starts, stops and lists containers that the lab's control plane asks for, holds the sockets of the built-in images, and outlives the control plane.
It decides nothing: which container ought to run, with which files and when again is the kubelet's; it makes no network namespace and knows no
object of the API.
"""
