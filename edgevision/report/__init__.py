"""What was measured and proven, on one page that people look at and in tables that programs read."""
