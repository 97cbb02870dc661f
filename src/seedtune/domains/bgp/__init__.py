"""The BGP domain: data in folders, and the code that runs and checks programs about BGP."""
