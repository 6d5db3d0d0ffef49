"""The command line: its commands stand in files of their own, and on everything else of the hub."""
