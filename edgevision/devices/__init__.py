"""Where latency is measured."""
