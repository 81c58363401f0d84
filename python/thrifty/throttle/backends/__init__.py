"""What can be set on machines of different kinds, one file a kind."""
