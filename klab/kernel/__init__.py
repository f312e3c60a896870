"""THE effects: the only room that touches the kernel, processes, /proc and /run.

It carries out operations on values of klab.linux and reads back what stands there. It decides nothing: what ought to be there is said by the planners
above, and no Kubernetes object is known here. It touches only what lies in the run directory of the lab it was given.
"""
