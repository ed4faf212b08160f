"""Count what the tables' streams report, measure what waits, and recount after a gap."""
