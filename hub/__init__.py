"""Makes it happen: the event log, the one door for commands, sealed personal data, the command line."""
