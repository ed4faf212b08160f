"""The platform of Shiftwork: pure domain, services over ports, adapters, one composition root."""
