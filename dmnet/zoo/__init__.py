"""What others published: their systems and checkpoints under their names."""
