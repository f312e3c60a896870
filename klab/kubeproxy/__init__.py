"""kube-proxy: what must stand in a node's network namespace so that Services work, in its three modes (iptables, ipvs, nftables).

Pure planners: Service and endpoint views in, kernel values of klab.linux out, laid out as kube-proxy v1.33 lays them out (names, hashes, comments,
marks, order). Whatever belongs to one service is planned by itself, so a change costs what that service costs. Nothing here asks or changes the
kernel, keeps state, or knows what was planned before.
"""
