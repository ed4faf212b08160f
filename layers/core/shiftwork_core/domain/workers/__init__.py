"""Workers: what is known of each, and the tokens they carry."""
