"""Settings and what they lead to: the form, its picture of the network, questions before, and the run as it goes."""
