"""Commands on many machines: units of work as a Ray Data pipeline (extra `ray`)."""
