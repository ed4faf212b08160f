"""The routes under /v1: a package for each subject, with its routes, inputs and views."""
