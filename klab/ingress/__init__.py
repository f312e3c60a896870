"""Ingress: what the objects say as a routing model, and that model as the configuration of a real HAProxy or nginx. Pure.

It reads typed views and gives values and text; it writes no files, starts no programs and keeps no state.
"""
