"""One further host of a site: its devices, its engine, its connection to the site's head."""
