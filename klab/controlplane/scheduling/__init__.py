"""The scheduler's plugins: what a node must have for a pod, and what makes it the better one, as kube-scheduler v1.36's default plugins say it.

Pure. Views of pods and nodes come in, refusals and scores go out; which plugin counts how much is said in klab.controlplane.scheduler.
"""
