"""Is the BMS right? One file per hazard; ids, clauses and titles as the reports print them."""
