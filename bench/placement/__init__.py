"""What is measured of placement: `make bench-placement`."""
