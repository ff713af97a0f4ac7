"""Where Bifrost keeps requests, what teams have, grants, credentials handed over, and notices."""
