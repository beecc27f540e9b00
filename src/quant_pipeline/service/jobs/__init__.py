"""Jobs: long work in processes of its own, recorded in a table; it outlives the service and is never started twice."""
