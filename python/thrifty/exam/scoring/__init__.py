"""What graded answers come to: accuracy, calibration, and two runs side by side."""
