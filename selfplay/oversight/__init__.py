"""An overseer: whoever decides positions that search does not, and where that is written down."""
