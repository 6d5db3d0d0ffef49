"""An auditor's own program: proves, offline, what a hub's log holds. It shares no code with the hub that writes it."""
