-- From schema version 2: the redo log (redo.py). A Penstock that does not know it must not open the file.
INSERT INTO meta VALUES ('redo', randomblob(16));
