"""`python -m bench` is `bmsbench`."""

from bench.cli import main

main()
