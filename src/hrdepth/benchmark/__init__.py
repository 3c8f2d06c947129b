"""Time and memory of training, prediction, evaluation, export and the page on this machine."""
