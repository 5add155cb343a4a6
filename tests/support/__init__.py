"""What the tests and the demonstration share: parts that start, are ready, and stop."""
