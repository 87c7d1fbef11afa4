"""Small networks trained here, on data at hand: so that accuracy after merging and quantizing is a real number."""
