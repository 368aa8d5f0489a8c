"""What checkpoints hold: the file format, the state of an agent, and how environments and programs are named in it."""
