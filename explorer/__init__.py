"""Looking around inside a network: recipes, the pictures they say, sheets, films, maps, and the page."""
