"""Which replica gets a call: filters first, then a policy over what a gateway can know. Pure: time and chance are passed in."""
