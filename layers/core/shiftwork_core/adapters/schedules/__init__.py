"""Cron texts and calendars, read with libraries, for computing schedules."""
