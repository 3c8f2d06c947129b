"""The paper's tables and figures by command: its rows beside measured ones, each marked as measured or not.

plan              the training config that gives a row, with replaced settings; which network a weights file holds
runs              find weights, and train what is missing
measure           evaluate a row once, and reuse the measurement
context           what the rows of a table or figure have in common
differences       means over seeds with intervals, and differences from the reference row
provenance_table  the weights behind each row
table             `hrdepth reproduce table1` to `table4`
regions, figure2  where errors lie
figures           `figure4` and `figure5`
"""
