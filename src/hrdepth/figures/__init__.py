"""Pictures of results for papers and reports: networks beside each other, errors, features, learning curves."""
