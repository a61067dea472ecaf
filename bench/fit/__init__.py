"""Cell fitting: from measured logs of one cell to a cell file, and its error on logs that were not fitted."""
