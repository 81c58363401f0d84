"""The story through all parts: the demo, and the data that it runs on."""
