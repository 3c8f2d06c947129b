"""The paper's tables and figures by command: its rows beside measured ones, each marked as measured or not.

plan              the training config that gives a row, with replaced settings; which network a weights file holds
runs              find weights, and train what is missing
memory            what a training needs, and batches that fit
measure           what the rows have in common; evaluate each once, and reuse the measurement
rows              all measurements of a row
differences       means over seeds with intervals, and differences from the reference row
provenance_table  the weights behind each row; what all JSON files have in common
table             `hrdepth reproduce table1` to `table4`
resolutions       `hrdepth reproduce resolution`
figure2           where errors lie
regions           of dense and sparse true depth
figures           `figure4` and `figure5`
"""
