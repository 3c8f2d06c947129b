"""Files, images, video and tables: reading and writing, independent of networks."""
