"""Who uses the platform. A module here is one kind of actor, and says which by `spawn(simulation)`."""
