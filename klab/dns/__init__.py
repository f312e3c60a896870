"""Cluster DNS: names of Services and endpoints, answered as the Kubernetes DNS specification 1.1.0 and CoreDNS' kubernetes plugin have it.

`zone` holds what is known of the live objects and answers look-ups (`records`: those of one Service; `names`: addresses in names), `delta` keeps a
zone in another process current, `wire` turns request bytes into response bytes, `server` and `forward` carry them over sockets that others opened,
`manifests` are the objects of a lab's kube-system, `coredns` writes the same zone for a real CoreDNS.
Only `server` and `forward` do anything but compute. Nothing here opens a file, enters a namespace or knows the store.
"""
