"""The brain of the lab: the object store (etcd's role), the work queue, and later the scheduler, the allocators and the controllers.

Pure logic over Kubernetes objects: it decides and records, and never touches the kernel, a file, a process or a socket; what writes the
journal's file is handed in.
"""
