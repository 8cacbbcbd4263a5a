-- From schema version 5.

-- Values of jobs: what limits and fairness go by.
ALTER TABLE job ADD COLUMN flow_values BLOB;
