"""Runtimes a graph can be compiled for, one module (or folder) each.

Every module of this package that defines `TARGET` is a target; nothing else registers it.
"""
