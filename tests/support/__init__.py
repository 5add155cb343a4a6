"""Parts that the tests and the demonstration share: each starts, reports readiness, and stops."""
