"""Taking a bundle elsewhere: an archive that runs, a web page, self-tests of boards."""
