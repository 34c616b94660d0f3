"""The tabs, one file each: TITLE, SENTENCE and build(studio). What moves in one is static/panel_NAME.js."""
