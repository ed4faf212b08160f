"""Cron texts and calendars, by libraries: what schedules of workspaces are computed with."""
