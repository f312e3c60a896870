"""The composition root: store, controllers, planners and kernel joined into one loop, the lab's control plane.

    store ─▶ controllers ─▶ Topology (what ought to stand) ─▶ Wiring (makes it so) ─▶ Kubelets (what runs in it) ─▶ status ─▶ store

It decides nothing by itself: each decision is a planner's, each effect the kernel's or the container runtime's.
It serves no requests (klab.apiserver).
"""
