"""Accuracy tables: each module has `tables(data, plots)`, which measures on cell data and tells."""
