"""Cron and calendars, by libraries: what schedules are computed with."""
