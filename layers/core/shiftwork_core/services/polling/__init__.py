"""Polled jobs: workers claim them, report on them, and renew their leases."""
