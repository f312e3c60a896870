"""Kernel objects as frozen values: what may stand in a namespace, its name, its difference to another state, the line a person would type for it.

Pure: nothing here asks or changes the kernel. It knows Linux' words only; what a Service or a Pod is, is none of its business.
"""
