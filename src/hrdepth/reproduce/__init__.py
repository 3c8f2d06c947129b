"""The paper's tables and figures by command: its rows beside measured ones, each marked as measured or not.

plan              the training config that gives a row, with replaced settings; which network a weights file holds
context           what the rows have in common: settings, given weights, true depth
runs              find weights, and train what is missing
measure           all measurements of a row, each made once and reused
differences       means over seeds with intervals, and differences from the reference row
provenance_table  the weights behind each row; the files that all tables and figures write
table             `hrdepth reproduce table1` to `table4`
resolutions       `hrdepth reproduce resolution`
figure2           where errors lie
figures           `figure4` and `figure5`
"""
