"""A bundle on other machines: an archive that runs, a web page, self-tests of boards."""
