"""A module of callbacks that cannot be imported, as people may deploy one."""

raise ImportError("it needs a package that is not there")
