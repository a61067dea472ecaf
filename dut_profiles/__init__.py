"""What each device under test is said to do: one TOML file per DUT, one codec per protocol."""
