"""Draw answers on a terminal: tables, progress, timetables, times."""
