"""Organizations: universities, laboratories, data centers, technology parks, ministries and their officers."""
