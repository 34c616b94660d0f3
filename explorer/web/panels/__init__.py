"""The tabs, one file each: TITLE, SENTENCE and build(). What moves in one is static/panel_NAME.js."""
