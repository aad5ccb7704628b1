"""Whether a run is a measurement: valid, suspect or invalid, with reasons a user can act on."""
