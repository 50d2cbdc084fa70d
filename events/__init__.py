"""What an event is: the contract with the systems that publish, and the ways in."""
