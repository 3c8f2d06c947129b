"""Files, images, video and tables: everything that reads or writes without knowing about networks."""
