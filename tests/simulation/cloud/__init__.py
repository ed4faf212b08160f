"""What AWS does: tables with their lag, the state machine, functions, and the queue."""
