"""Who uses the platform: a module for each kind of actor, with a `spawn(simulation)`."""
