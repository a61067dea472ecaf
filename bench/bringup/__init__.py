"""Bringing a rack up: find what answers, check it, check its wiring, drill its safe state, drive it by hand.

`recognition` and `discovery` say what stands at an address, `inspection` holds it against the station file,
`wiring` follows each channel to where the DUT sees it, `drill` sees energy come and go, `checking` puts these
together; `panel` is a station in the hands of a person. No scenario needs any of it.
"""
