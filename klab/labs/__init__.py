"""Labs from the outside: bring one up and take it down, find it, look into it, enter its pods, say what would be done.

It runs in the process of the command, not in the lab's control plane, and works (but for `apply`) also while that is stopped: from the run
directory and a read-only look at the store's journal. It draws nothing and parses no command line (klab.cli).
"""
