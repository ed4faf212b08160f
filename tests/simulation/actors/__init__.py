"""The users of the platform: a module for each kind of actor, each with a `spawn(simulation)`."""
