"""The paper's tables and figures by command: its rows beside measured ones, each marked as measured or not.

paper     the rows of Tables 1 to 4, from paper.yaml
plan      the training config that gives a row, laid over by what is set for another place
runs      where weights are, and training of what is missing
measure   a row evaluated once; kept, and used again while weights and protocol are the same
spread    means over seeds with intervals, and differences from the first row
table     `hrdepth reproduce table1` to `table4`
regions   `figure2`: where errors lie
figures   `figure4` and `figure5`
"""
