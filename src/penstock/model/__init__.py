"""What a job is: ids, states, errors, limits and the records that cross every port. No I/O, no clock."""
