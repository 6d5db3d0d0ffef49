"""What may happen: events, states and commands of the hub's subjects. Pure."""
