"""Time and memory of training and loading, beside what the machine can do."""
