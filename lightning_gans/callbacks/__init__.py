"""What happens around a training step: samples, metrics, files, and the safety of a run."""
