"""The figures of the report: each is drawn from a table, in a light or in a dark theme.

Every public function takes tables in the columns of `reports/tables/` and returns a figure, which
`themes.png` turns into a file. `faces` names what is counted, "synthetic test faces" say.
"""
