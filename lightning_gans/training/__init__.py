"""What papers share while they train: the step, noise, gradients, averages, processes, checkpoints."""
