"""The guard: whatever ends a run, energy goes off, and somebody has read back that it did.

`rescue` makes a station safe on connections of its own. `watchman` is the process that does it when a run
falls silent, `watch` is the run's side of it. `lease` says who may use a bench. Standard library and
`bench.station` only: nothing here judges, and nothing here energises.
"""
