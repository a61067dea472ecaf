"""Accuracy tables, one module each: `tables(data, plots)` measures on real cell data and says what came out."""
