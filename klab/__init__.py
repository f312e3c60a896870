"""klab: Kubernetes manifests in, a real Linux network out."""

__version__ = "0.1.0"
