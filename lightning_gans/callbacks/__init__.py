"""What happens around a training step: samples, figures, files, and the safety of a run."""
