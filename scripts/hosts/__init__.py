"""`selfplay train --hosts N`: the processes of one run on several hosts, and who watches them."""

ENVIRONMENT = "SELFPLAY_RANK"  # of a rank's process: JSON, what the command tells it
