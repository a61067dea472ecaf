"""A BMS in software, written like firmware, and the catalogue of defects that can be seeded into it."""
