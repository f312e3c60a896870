"""A pod bound to a node becomes running containers: what to start and stop next, files of the sandbox, probes, status.

Pure: decisions and texts as values. The composition root carries them to the container runtime and the kernel; here no socket, process or file is
touched.
"""
