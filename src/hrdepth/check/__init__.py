"""What is wrong with data, a camera or a training: scan, doctor and diagnose."""
