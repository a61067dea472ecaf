"""Instruments: one file per family, with its driver, its twin and the EXCHANGES of its manual.

Also the import name of the PyPI package InstrumentKit; the two cannot share an environment.
"""
