"""Workers: the record of each, and the tokens they carry."""
